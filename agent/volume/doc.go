// Package volume keeps named volumes: directories that apps write to and that
// outlive them.
//
// Promised: a volume's name cannot lead out of the store; what a backup holds
// is what the volume holds, owners included; a restore makes a whole volume or
// none, and contains whatever the archive says (package unpack). Volumes are
// read and written with os.Root, as apps fill them.
//
// On disk:
//
//	NAME/                a volume, owners as apps know them
//	.records/NAME.json   when it was made, and for which run if it has no name of the user's
//	.new-*               work in progress, removed when the store is opened
package volume
