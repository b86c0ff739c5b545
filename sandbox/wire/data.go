package wire

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/consentry/consentry/sandbox"
)

// The calls about data beside verbOpen.
const (
	verbEnded    = "broker.ended"
	verbReused   = "broker.reused"
	verbGiven    = "broker.given"
	verbGiveBack = "broker.giveback"
	verbPiece    = "broker.piece"
	verbReveal   = "broker.reveal"
	verbRoots    = "broker.roots"
)

var (
	_ sandbox.Leaser      = remoteBroker{}
	_ sandbox.Giver       = remoteBroker{}
	_ sandbox.PieceReader = remoteBroker{}
	_ sandbox.Revealer    = remoteBroker{}
	_ sandbox.Rooter      = remoteBroker{}
)

func (b remoteBroker) Open(ctx context.Context, req sandbox.DataRequest) (sandbox.DataReply, error) {
	return called[sandbox.DataReply](ctx, b.peer, verbOpen, req)
}

func (b remoteBroker) Ended(ctx context.Context) ([]uint64, error) {
	return called[[]uint64](ctx, b.peer, verbEnded, nil)
}

func (b remoteBroker) Reused(ctx context.Context, uses map[uint64]int64) error {
	_, err := b.peer.Call(ctx, verbReused, uses, nil)
	return err
}

func (b remoteBroker) Given(ctx context.Context) ([]sandbox.GivenData, error) {
	return called[[]sandbox.GivenData](ctx, b.peer, verbGiven, nil)
}

func (b remoteBroker) GiveBack(ctx context.Context, grant string) error {
	_, err := b.peer.Call(ctx, verbGiveBack, grant, nil)
	return err
}

func (b remoteBroker) Piece(ctx context.Context, p sandbox.FilePiece) (sandbox.FileData, error) {
	return called[sandbox.FileData](ctx, b.peer, verbPiece, p)
}

func (b remoteBroker) Reveal(ctx context.Context, s sandbox.SecretFor) (string, error) {
	return called[string](ctx, b.peer, verbReveal, s)
}

func (b remoteBroker) Roots(ctx context.Context) ([]byte, error) {
	return called[[]byte](ctx, b.peer, verbRoots, nil)
}

func called[T any](ctx context.Context, p *Peer, verb string, body any) (T, error) {
	var got T
	_, err := p.Call(ctx, verb, body, &got)
	return got, err
}

// data answers the verbs of this file; known is false for any other.
func (s *BrokerServer) data(ctx context.Context, verb string, body json.RawMessage) (reply Reply, known bool, err error) {
	switch verb {
	case verbOpen:
		reply, err = answered(body, func(req sandbox.DataRequest) (any, error) { return s.broker.Open(ctx, req) })
	case verbEnded:
		reply, err = having(s, func(l sandbox.Leaser) (any, error) { return l.Ended(ctx) })
	case verbReused:
		reply, err = answered(body, func(uses map[uint64]int64) (any, error) {
			_, err := having(s, func(l sandbox.Leaser) (any, error) { return nil, l.Reused(ctx, uses) })
			return nil, err
		})
	case verbGiven:
		reply, err = having(s, func(g sandbox.Giver) (any, error) { return g.Given(ctx) })
	case verbGiveBack:
		reply, err = answered(body, func(grant string) (any, error) {
			_, err := having(s, func(g sandbox.Giver) (any, error) { return nil, g.GiveBack(ctx, grant) })
			return nil, err
		})
	case verbPiece:
		reply, err = answered(body, func(piece sandbox.FilePiece) (any, error) {
			reply, err := having(s, func(r sandbox.PieceReader) (any, error) { return r.Piece(ctx, piece) })
			return reply.Body, err
		})
	case verbReveal:
		reply, err = answered(body, func(secret sandbox.SecretFor) (any, error) {
			reply, err := having(s, func(r sandbox.Revealer) (any, error) { return r.Reveal(ctx, secret) })
			return reply.Body, err
		})
	case verbRoots:
		reply, err = having(s, func(r sandbox.Rooter) (any, error) { return r.Roots(ctx) })
	default:
		return Reply{}, false, nil
	}
	return reply, true, err
}

func answered[T any](body json.RawMessage, do func(T) (any, error)) (Reply, error) {
	var want T
	if err := decode(body, &want); err != nil {
		return Reply{}, err
	}
	got, err := do(want)
	return Reply{Body: got}, err
}

// having calls do with the broker, if it has the power that do wants.
func having[T any](s *BrokerServer, do func(T) (any, error)) (Reply, error) {
	able, can := s.broker.(T)
	if !can {
		return Reply{}, fmt.Errorf("%w: not here", sandbox.ErrUnavailable)
	}
	got, err := do(able)
	return Reply{Body: got}, err
}
