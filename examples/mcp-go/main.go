// Command mcp-go calls one tool of the user's data, as an agent in an image does:
//
//	mcp-go TOOL ARGUMENTS
//
// Without arguments it lists the tools. The address is the same in every sandbox.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const address = "http://10.0.2.2:9999/mcp"

// Exit codes: 0 all well, 1 the tool says that it failed, 2 anything else.
func main() {
	failed, err := run(context.Background(), os.Args[1:])
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case failed:
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (failed bool, err error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "mcp-go", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: address}, nil)
	if err != nil {
		return false, err
	}
	defer session.Close() //nolint:errcheck // there is no session on the other side
	if len(args) < 2 {
		list, err := session.ListTools(ctx, nil)
		if err != nil {
			return false, err
		}
		for _, tool := range list.Tools {
			fmt.Println(tool.Name)
		}
		return false, nil
	}
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: args[0], Arguments: json.RawMessage(args[1])})
	if err != nil {
		return false, err
	}
	for _, content := range result.Content {
		if text, is := content.(*mcp.TextContent); is {
			fmt.Println(text.Text)
		}
	}
	return result.IsError, nil
}
