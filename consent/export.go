package consent

import (
	"context"
	"fmt"
	"io"

	"github.com/consentry/consentry/consent/chain"
)

// Export writes the whole ledger, archives included, as a signed part that
// chain.Verify proves, with the public key, anywhere. What was written before an
// error has no end and proves nothing.
func (e *Engine) Export(ctx context.Context, w io.Writer) error {
	if e.store == nil {
		return e.Health()
	}
	if err := e.store.export(ctx, w); err != nil {
		return fmt.Errorf("export ledger: %w", err)
	}
	return nil
}

func (s *store) export(ctx context.Context, w io.Writer) error {
	s.flush()
	s.partsMu.RLock()
	defer s.partsMu.RUnlock()
	e, err := s.readEnds(ctx)
	if err != nil {
		return err
	}
	part, err := chain.NewWriter(w, s.seal.sign, e.floor)
	if err != nil {
		return err
	}
	to, err := s.walkKept(ctx, e, part.Add)
	if err != nil {
		return err
	}
	return part.End(to)
}
