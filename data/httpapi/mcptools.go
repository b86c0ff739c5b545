package httpapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/sandbox"
)

const mcpInstructions = `These tools ask the person who runs this app for their data, or to act for them. ` +
	`Each call is shown to them with the purpose you give, and waits for their answer. They may give less than was asked ` +
	`("withheld" names what is missing) or nothing. Ask for few fields, when you need them. Status "pending" means that ` +
	`they have not answered: call again with the same arguments. After "denied" do not ask again.`

// mcpTool is one tool. What its arguments may be is decided by run alone; the
// schema tells a model how to write them.
type mcpTool struct {
	name, title, about string
	reads              bool // changes nothing and shows nothing
	properties         schema
	required           []string
	run                func(context.Context, *mcp.CallToolRequest) (any, error)
}

// schema is a part of a JSON Schema (draft 2020-12).
type schema map[string]any

func (t mcpTool) tool() *mcp.Tool {
	input := schema{"type": "object", "properties": t.properties, "additionalProperties": false}
	if len(t.required) > 0 {
		input["required"] = t.required
	}
	closed, harmless := false, false
	return &mcp.Tool{
		Name: t.name, Title: t.title, Description: t.about, InputSchema: input,
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: t.reads, OpenWorldHint: &closed, DestructiveHint: &harmless},
	}
}

// tools are one for each kind, one for several kinds in one call, and what goes
// with them.
func (m mcpServer) tools() []mcpTool {
	list := []mcpTool{{
		name: "list_kinds", title: "What can be asked for", reads: true, properties: schema{},
		about: "Lists the kinds of data and actions, and their fields. Asks the user nothing.",
		run: func(context.Context, *mcp.CallToolRequest) (any, error) {
			return map[string]any{"kinds": data.Kinds()}, nil
		},
	}, {
		name: "request_data", title: "Ask for several things", required: []string{"items", "purpose"},
		about: "Asks the user for several kinds of data or actions for one purpose. Where one kind will do, use its own tool.",
		properties: with(asking(), schema{"items": schema{
			"type": "array", "minItems": 1, "maxItems": data.MaxItems, "items": schema{"oneOf": itemSchemas()},
		}}),
		run: m.requestData,
	}}
	for _, kind := range data.Kinds() {
		list = append(list, m.ofKind(kind))
	}
	return append(list, mcpTool{
		name: "read_file_content", title: "Read a file that the user picked", reads: true, required: []string{"file"},
		about: "Reads a piece of a file: \"content\" of a record of read_files. Gives text, or base64 where it is not UTF-8, and where to go on.",
		properties: schema{
			"file":   schema{"type": "string"},
			"offset": schema{"type": "integer", "minimum": 0, "description": "bytes from the beginning"},
			"length": schema{"type": "integer", "minimum": 1, "maximum": sandbox.MaxPiece},
		},
		run: m.readFile,
	}, mcpTool{
		name: "list_grants", title: "What was given", reads: true, properties: schema{},
		about: "Lists what the user has given to this app. Asks the user nothing.",
		run:   m.listGrants,
	}, mcpTool{
		name: "give_back_grant", title: "Give back", required: []string{"grant"},
		about:      "Ends a grant that is not needed any more.",
		properties: schema{"grant": schema{"type": "string"}},
		run:        m.giveBackGrant,
	})
}

// ofKind is the tool of one kind: its request without the type.
func (m mcpServer) ofKind(kind data.Kind) mcpTool {
	verb := "Asks the user for "
	if len(kind.Fields) == 0 {
		verb = "Asks the user, and if they agree, does it: "
	}
	return mcpTool{
		name: kind.Action + "_" + kind.Name, title: kind.Title, about: verb + kind.Title + " (" + kind.Action + ").",
		reads:      len(kind.Fields) > 0,
		properties: with(asking(), memberSchemas(kind)),
		required:   append(needed(kind), "purpose"),
		run: func(ctx context.Context, req *mcp.CallToolRequest) (any, error) {
			var args struct {
				data.Item
				askingArgs
			}
			if err := arguments(req, &args); err != nil {
				return nil, err
			}
			if args.Type != "" && args.Type != kind.Name {
				return nil, fmt.Errorf("%w: the type of this tool is %q", sandbox.ErrInvalid, kind.Name)
			}
			args.Type = kind.Name
			return m.ask(ctx, req, requestBody{Items: []data.Item{args.Item}, Purpose: args.Purpose, Retain: args.Retain}, args.Wait)
		},
	}
}

// askingArgs are of every tool that asks.
type askingArgs struct {
	Purpose string `json:"purpose"`
	Retain  string `json:"retain"`
	Wait    *int   `json:"wait"` // seconds
}

func asking() schema {
	return schema{
		"purpose": schema{"type": "string", "minLength": 1, "maxLength": data.MaxPurpose, "description": "what it is for: one sentence that the user reads"},
		"retain":  schema{"enum": []string{"none", "run"}, "description": "run: the same call gives the same answer until the app ends or the user takes it back"},
		"wait":    schema{"type": "integer", "minimum": 0, "maximum": int(maxWait.Seconds()), "description": "seconds to wait for the user; 45 if it is missing"},
	}
}

func with(parts ...schema) schema {
	all := schema{}
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}

// memberSchemas are the members that a request of a kind takes.
func memberSchemas(kind data.Kind) schema {
	all := schema{}
	for _, member := range slices.Concat(kind.Needs, kind.Takes) {
		switch member {
		case "max":
			all[member] = schema{"type": "integer", "minimum": 1, "maximum": data.MaxRecords, "description": "records at most"}
		case "from", "to":
			all[member] = schema{"type": "string", "format": "date-time"}
		default:
			all[member] = schema{"type": "string", "minLength": 1}
		}
	}
	if len(kind.Fields) > 0 {
		var names []string
		for _, f := range kind.Fields {
			names = append(names, f.Name, f.Name+"?")
		}
		all["fields"] = schema{
			"type": "array", "minItems": 1, "items": schema{"enum": names},
			"description": "each is decided by itself; a question mark after one says that you can do without",
		}
	}
	return all
}

func needed(kind data.Kind) []string {
	list := slices.Clone(kind.Needs)
	if len(kind.Fields) > 0 {
		list = append(list, "fields")
	}
	return list
}

func itemSchemas() []schema {
	var all []schema
	for _, kind := range data.Kinds() {
		all = append(all, schema{
			"type": "object", "additionalProperties": false, "required": append(needed(kind), "type"),
			"properties": with(memberSchemas(kind), schema{"type": schema{"const": kind.Name}}),
		})
	}
	return all
}

// arguments reads what a call was given; no arguments are an empty object.
func arguments(req *mcp.CallToolRequest, into any) error {
	raw := req.Params.Arguments
	if len(raw) == 0 {
		raw = json.RawMessage("{}")
	}
	return data.Decode(bytes.NewReader(raw), into)
}

func (m mcpServer) requestData(ctx context.Context, req *mcp.CallToolRequest) (any, error) {
	var args struct {
		Items []data.Item `json:"items"`
		askingArgs
	}
	if err := arguments(req, &args); err != nil {
		return nil, err
	}
	return m.ask(ctx, req, requestBody{Items: args.Items, Purpose: args.Purpose, Retain: args.Retain}, args.Wait)
}

func (m mcpServer) listGrants(ctx context.Context, _ *mcp.CallToolRequest) (any, error) {
	giver, can := m.api.broker.(sandbox.Giver)
	if !can {
		return nil, sandbox.ErrUnavailable
	}
	given, err := giver.Given(ctx)
	return map[string]any{"grants": append([]sandbox.GivenData{}, given...)}, err
}

func (m mcpServer) giveBackGrant(ctx context.Context, req *mcp.CallToolRequest) (any, error) {
	var args struct {
		Grant string `json:"grant"`
	}
	if err := arguments(req, &args); err != nil {
		return nil, err
	}
	giver, can := m.api.broker.(sandbox.Giver)
	if !can {
		return nil, sandbox.ErrUnavailable
	}
	return map[string]any{"status": "ended"}, giver.GiveBack(ctx, args.Grant)
}

// piece is a part of a file, for a model.
type piece struct {
	Size   int64  `json:"size"` // of the whole file, in bytes
	Text   string `json:"text,omitempty"`
	Base64 string `json:"base64,omitempty"`
	Next   int64  `json:"next,omitempty"` // offset of what follows; 0: that was the end
}

func (m mcpServer) readFile(ctx context.Context, req *mcp.CallToolRequest) (any, error) {
	var args struct {
		File   string `json:"file"`
		Offset int64  `json:"offset"`
		Length int    `json:"length"`
	}
	args.Length = maxBody
	if err := arguments(req, &args); err != nil {
		return nil, err
	}
	if args.Offset < 0 || args.Length < 1 || args.Length > sandbox.MaxPiece {
		return nil, fmt.Errorf("%w: a piece has 1 to %d bytes, from 0 on", sandbox.ErrInvalid, sandbox.MaxPiece)
	}
	reader, can := m.api.broker.(sandbox.PieceReader)
	if !can {
		return nil, sandbox.ErrUnavailable
	}
	got, err := reader.Piece(ctx, sandbox.FilePiece{Handle: args.File, Offset: args.Offset, Length: args.Length})
	if err != nil {
		return nil, err
	}
	return pieceOf(got, args.Offset), nil
}

// pieceOf leaves a character that was cut in two for the next piece.
func pieceOf(got sandbox.FileData, offset int64) piece {
	p := piece{Size: got.Size}
	text := got.Data
	for cut := 0; cut < utf8.UTFMax-1 && !utf8.Valid(text) && len(text) > 1 && offset+int64(len(got.Data)) < got.Size; cut++ {
		text = text[:len(text)-1]
	}
	if utf8.Valid(text) && !strings.ContainsRune(string(text), 0) {
		p.Text = string(text)
	} else {
		text = got.Data
		p.Base64 = base64.StdEncoding.EncodeToString(text)
	}
	if next := offset + int64(len(text)); next < got.Size && len(text) > 0 {
		p.Next = next
	}
	return p
}
