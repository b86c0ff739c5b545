// Package latticetest keeps the import directions of ARCHITECTURE.md: which
// folder of the module may import which. It looks at the imports of every
// system the program is built for, and at those only: what runs, not its tests.
package latticetest
