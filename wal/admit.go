package wal

import (
	"errors"

	"hookwheel/webhook"
)

// Admit is asked on the leader before a command goes into the log: a reply refuses the command, and
// it is not proposed. full are the other nodes whose disk is short. A repetition is judged by its
// form only, for its first try may be in the log.
func (s *Store) Admit(body []byte, full []string, repetition bool) (reply []byte) {
	err := s.admit(body, full, repetition)
	if err == nil {
		return nil
	}
	refused := &webhook.Error{Code: webhook.CodeUnavailable, Detail: "the leader does not know such a command, or it is damaged. " +
		"While the nodes run different versions of the program, upgrade them all and try again"}
	errors.As(err, &refused)
	if reply, err = errorReply(refused); err != nil {
		return []byte{replyError}
	}
	return reply
}

func (s *Store) admit(body []byte, full []string, repetition bool) error {
	command, err := decodeCommand(body)
	if err != nil {
		return err
	}
	if err := command.validate(); err != nil {
		return err
	}
	if looksInside {
		command = innermost(command)
	}
	if !repetition && s.grows(command) {
		if endpoint := endpointOf(command); endpoint != nil {
			if err := s.gate.noEndpoint(endpoint.App, s.enlargement(endpoint)); err != nil {
				return err
			}
		}
		if c, isApplication := command.(*createApplication); isApplication {
			if err := s.gate.noApplication(c); err != nil {
				return err
			}
		}
		if _, isKey := command.(*createKey); isKey {
			return s.gate.noDisk(full) // links to the pages are keys, and there customers make room
		}
		return s.gate.noRoom(applicationOf(command), full)
	}
	return nil
}

// grows reports whether a command adds to the state for good. Commands that deliver or remove, or
// change something without making it larger, are admitted even when the store is full.
func (s *Store) grows(command action) bool {
	switch c := command.(type) {
	case *createMessage, *createMessages, *createApplication, *createEndpoint, *createEventType, *createKey, *createTask, *resend:
		return true
	case *updateEndpoint:
		return !c.Resealed && s.enlargement(&c.Endpoint) > 0
	}
	return false
}

// endpointOf returns the endpoint that a command creates or changes, or nil.
func endpointOf(command action) *webhook.Endpoint {
	switch c := command.(type) {
	case *createEndpoint:
		return &c.Endpoint
	case *updateEndpoint:
		return &c.Endpoint
	}
	return nil
}

// applicationOf returns the application whose share a growing command adds to, or zero.
func applicationOf(command action) (app webhook.ID) {
	switch c := command.(type) {
	case *createMessage:
		return c.App
	case *createMessages:
		return c.app
	case *createEndpoint:
		return c.App
	case *updateEndpoint:
		return c.App
	case *createKey:
		return c.App
	case *createTask:
		return c.App
	case *resend:
		return c.App
	}
	return app
}
