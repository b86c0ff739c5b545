package unpack

func here() Naming { return NTFS() }
