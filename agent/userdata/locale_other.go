//go:build !unix

package userdata

// systemLocale knows nothing: the user says it in the profile.
func systemLocale() map[string]string { return map[string]string{} }
