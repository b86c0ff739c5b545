package client

import (
	"context"
	"net/url"

	"github.com/consentry/consentry/agent/api"
)

// Install fetches an app and has its manifest reviewed; it starts nothing.
func (c *Client) Install(ctx context.Context, r api.RunRequest) (*Stream, error) {
	return c.stream(ctx, "/v1/install", r)
}

// Reviews lists the manifests that wait for an answer, without their lines.
func (c *Client) Reviews(ctx context.Context) (reviews []api.Review, err error) {
	err = c.call(ctx, "GET", "/v1/reviews", nil, &reviews)
	return reviews, err
}

// Review returns one with its lines.
func (c *Client) Review(ctx context.Context, id string) (review api.Review, err error) {
	err = c.call(ctx, "GET", reviewPath(id), nil, &review)
	return review, err
}

// AnswerReview answers one; what the answer leads to is kept when it returns nil.
func (c *Client) AnswerReview(ctx context.Context, id string, a api.ReviewAnswer) error {
	return c.call(ctx, "POST", reviewPath(id), a, nil)
}

func reviewPath(id string) string { return "/v1/reviews/" + url.PathEscape(id) }
