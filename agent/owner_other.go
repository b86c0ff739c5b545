//go:build !linux

package agent

import "github.com/consentry/consentry/sandbox"

func ownerOf(spec sandbox.Spec) uint32 { return spec.Image.IDBase + spec.Process.User.UID }
