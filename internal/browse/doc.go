// Package browse opens pages in the user's browser.
package browse
