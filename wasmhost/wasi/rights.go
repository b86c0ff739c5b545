package wasi

// Rights, by their bit in the preview 1 witx.
const (
	rightDatasync = 1 << iota
	rightRead
	rightSeek
	rightFdstatSetFlags
	rightSync
	rightTell
	rightWrite
	rightAdvise
	rightAllocate
	rightCreateDirectory
	rightCreateFile
	rightLinkSource
	rightLinkTarget
	rightOpen
	rightReaddir
	rightReadlink
	rightRenameSource
	rightRenameTarget
	rightPathFilestatGet
	rightPathFilestatSetSize
	rightPathFilestatSetTimes
	rightFilestatGet
	rightFilestatSetSize
	rightFilestatSetTimes
	rightSymlink
	rightRemoveDirectory
	rightUnlinkFile
	rightPoll
)

// What can be done with each kind of file at most.
const (
	fileRights = rightDatasync | rightRead | rightSeek | rightFdstatSetFlags | rightSync | rightTell |
		rightWrite | rightAdvise | rightAllocate | rightFilestatGet | rightFilestatSetSize |
		rightFilestatSetTimes | rightPoll
	dirRights = rightDatasync | rightFdstatSetFlags | rightSync | rightCreateDirectory | rightCreateFile |
		rightLinkSource | rightLinkTarget | rightOpen | rightReaddir | rightReadlink | rightRenameSource |
		rightRenameTarget | rightPathFilestatGet | rightPathFilestatSetSize | rightPathFilestatSetTimes |
		rightFilestatGet | rightFilestatSetTimes | rightSymlink | rightRemoveDirectory | rightUnlinkFile
	streamRights = rightRead | rightWrite | rightFdstatSetFlags | rightFilestatGet | rightPoll
)
