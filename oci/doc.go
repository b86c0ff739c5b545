// Package oci gets images: from a registry, an OCI layout or an archive, into
// a store on this machine, as directories that overlayfs takes as lowerdirs.
//
// Promised: what the store hands out was checked byte for byte against the
// digests of its manifest, layer by layer, compressed and unpacked; nothing
// half-done is ever visible, also after kill -9 or a power failure; a pull that
// ends in an error leaves nothing behind but whole layers that the next one goes
// on from; what an image says (paths, links, sizes, names) is
// contained or refused, never trusted. Registries are spoken to over TLS, plain
// HTTP only on loopback. Anything that is neither an OCI image nor a
// WebAssembly module is refused with ErrFormat.
//
// Not promised: that an image is harmless, or is what its name says. Signatures
// are not checked here. Publisher only says which registry and repository TLS
// vouched for. The store trusts its own directory, which only its owner can
// write.
//
// The store on disk:
//
//	lock                   held while a Store is open
//	blobs/sha256/HEX       manifests and configs, as they came
//	layers/KEY/fs          an unpacked layer
//	layers/KEY/layer.json  what it was made of
//	images/HEX.json        one reference each, HEX being its sha256
//	layers/KEY/durable     says that the layer was synced
//	disks/HEX.ext4         a stack of layers as a file system, made when wanted
//	unfinished/HEX.json    a pull that was cut off, HEX being the manifest's sha256
//	tmp/                   work in progress, emptied when the store is opened
//
// KEY is the layer's diffID, or, for a layer whose meaning depends on those
// below it, "c-" and the chain ID, or, for the merged tree of the lowest layers
// of an image with very many, "m-" and their chain ID. A layer appears by one rename when it is whole.
package oci
