package consentry

import "unsafe"

//go:wasmimport consentry kinds
func hostKinds(handleOut unsafe.Pointer) uint32

//go:wasmimport consentry grants
func hostGrants(handleOut unsafe.Pointer) uint32

//go:wasmimport consentry give_back
func hostGiveBack(grant unsafe.Pointer, grantLen uint32) uint32

//go:wasmimport consentry file_open
func hostFileOpen(file unsafe.Pointer, fileLen uint32, handleOut unsafe.Pointer) uint32

//go:wasmimport consentry request
func hostRequest(kind unsafe.Pointer, kindLen uint32, question unsafe.Pointer, questionLen uint32, handleOut unsafe.Pointer) uint32

//go:wasmimport consentry http_fetch
func hostHTTPFetch(request unsafe.Pointer, requestLen uint32, handleOut unsafe.Pointer) uint32

//go:wasmimport consentry http_status
func hostHTTPStatus(handle uint32, statusOut unsafe.Pointer) uint32

//go:wasmimport consentry http_headers
func hostHTTPHeaders(handle uint32, buf unsafe.Pointer, bufLen uint32, lenOut unsafe.Pointer) uint32

//go:wasmimport consentry read
func hostRead(handle uint32, buf unsafe.Pointer, bufLen uint32, nOut unsafe.Pointer) uint32

//go:wasmimport consentry close
func hostClose(handle uint32) uint32
