package userdata

import (
	"context"

	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/sandbox"
)

// Do does what an app asks for and was allowed.
func (s *Service) Do(ctx context.Context, who app.App, req sandbox.DataRequest) (sandbox.DataReply, error) {
	return sandbox.DataReply{}, sandbox.ErrUnavailable
}
