// A module of its own: the program that ships does not depend on the source of its table.
module github.com/consentry/consentry/tools/confusables

go 1.26.0

require (
	github.com/mtibben/confusables v0.0.0-20210201002637-9d1b0723b659
	golang.org/x/text v0.43.0
)
