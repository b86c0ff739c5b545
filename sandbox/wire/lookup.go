package wire

import (
	"context"
	"encoding/json"

	"github.com/consentry/consentry/sandbox"
)

const verbLookup = "broker.lookup"

var _ sandbox.Lookuper = remoteBroker{}

func (b remoteBroker) Lookup(ctx context.Context, want sandbox.Lookup) (sandbox.Records, error) {
	var got sandbox.Records
	_, err := b.peer.Call(ctx, verbLookup, want, &got)
	return got, err
}

func (s *BrokerServer) lookup(ctx context.Context, body json.RawMessage) (Reply, error) {
	var want sandbox.Lookup
	if err := decode(body, &want); err != nil {
		return Reply{}, err
	}
	lookuper, ok := s.broker.(sandbox.Lookuper)
	if !ok {
		return Reply{}, sandbox.ErrUnavailable
	}
	records, err := lookuper.Lookup(ctx, want)
	return Reply{Body: records}, err
}
