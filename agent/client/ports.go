package client

import (
	"context"
	"strconv"

	"github.com/consentry/consentry/agent/api"
)

// Ports lists the published ports of a running app.
func (c *Client) Ports(ctx context.Context, ref string) (ports []api.Port, err error) {
	err = c.call(ctx, "GET", runPath(ref, "/ports"), nil, &ports)
	return ports, err
}

// Publish publishes a port of a running app.
func (c *Client) Publish(ctx context.Context, ref string, m api.PortMapping) (port api.Port, err error) {
	err = c.call(ctx, "POST", runPath(ref, "/ports"), m, &port)
	return port, err
}

// Unpublish takes a port back and cuts its connections.
func (c *Client) Unpublish(ctx context.Context, ref string, host uint16, udp bool) (port api.Port, err error) {
	path := runPath(ref, "/ports/"+strconv.Itoa(int(host))) + query("udp", flag(udp))
	err = c.call(ctx, "DELETE", path, nil, &port)
	return port, err
}
