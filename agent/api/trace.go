package api

import "github.com/consentry/consentry/sandbox"

// TraceLine is one line of GET /v1/runs/REF/trace, NDJSON until the app ends or
// the client leaves: a call of the app as the kernel judged it, a loss, or a
// note.
type TraceLine sandbox.TraceEvent
