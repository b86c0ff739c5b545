// Package story holds the tests of whole stories: the real program, a real
// image made from Debian packages, a real registry, DNS server and web servers,
// in network namespaces of their own. It has no code that ships.
package story
