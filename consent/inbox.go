package consent

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"fmt"
)

// loadInbox drops what was edited: it would be answered for another app.
func (s *store) loadInbox(ctx context.Context) ([]storedPrompt, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, body, mac FROM inbox`)
	if err != nil {
		return nil, fmt.Errorf("read inbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var found []storedPrompt
	for rows.Next() {
		var p storedPrompt
		var body, mac []byte
		if err := rows.Scan(&p.id, &body, &mac); err != nil {
			return nil, fmt.Errorf("read inbox: %w", err)
		}
		if !hmac.Equal(mac, s.seal.inbox(p.id, body)) || json.Unmarshal(body, &p.body) != nil {
			s.log.Warn("consent: a request in the inbox was changed on disk and is dropped", "id", p.id)
			continue
		}
		found = append(found, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read inbox: %w", err)
	}
	return found, nil
}
