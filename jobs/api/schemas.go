package api

import (
	"github.com/danielgtaylor/huma/v2"

	"lethe/jobs"
	"lethe/store"
)

// submissionSchema says of a body what the decoder demands. It is written by
// hand as the decoder is; a test compares the two.
func submissionSchema() *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"selector"},
		Properties: map[string]*huma.Schema{
			"selector":    selectorSchema(),
			"related":     {Type: huma.TypeBoolean, Description: "Erase also what is about who is selected but does not match, as far as a store can tell: what an assistant said in their conversations, or memories that explicit IDs have replaced. A plan counts it either way"},
			"stores":      {Type: huma.TypeArray, Items: str("", 0), MinItems: new(1), UniqueItems: true, Description: "Every configured store if not given"},
			"ticket":      str("The asker's own reference; not personal data", maxTicketBytes),
			"regime":      str("Whose clock runs, such as gdpr (if not given) or ccpa", 64),
			"ground":      str("A code, such as art17-1-b", 64),
			"received_at": {Type: huma.TypeString, Format: "date-time", Description: "When the person asked; now if not given"},
			"grace":       str("How long to wait before erasing, such as 72h or 0s", 0),
			"notify_url":  str("An https URL that is told when the status changes (Standard Webhooks); 400 unless the service has webhooks configured", jobs.MaxNotifyURL),
		},
	}
}

func memorySchema() *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"memory_id"},
		Properties: map[string]*huma.Schema{"memory_id": str("As the store knows the memory", store.MaxValueBytes)},
	}
}

func selectorSchema() *huma.Schema {
	scalar := &huma.Schema{OneOf: []*huma.Schema{
		str("", store.MaxValueBytes), {Type: huma.TypeNumber}, {Type: huma.TypeBoolean},
	}}
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, MinProperties: new(1),
		Description: "Either ids, or any of the other keys, all of which must be equal. Values are exact: no wildcards, no case folding, no normalization.",
		Properties: map[string]*huma.Schema{
			"ids":      {Type: huma.TypeArray, Items: str("", store.MaxValueBytes), MinItems: new(1), MaxItems: new(jobs.MaxIDs), Description: "Memory IDs"},
			"user_id":  str("", store.MaxValueBytes),
			"agent_id": str("", store.MaxValueBytes),
			"app_id":   str("", store.MaxValueBytes),
			"run_id":   str("", store.MaxValueBytes),
			"metadata": {Type: huma.TypeObject, AdditionalProperties: scalar, MinProperties: new(1), MaxProperties: new(store.MaxMetadataKeys)},
		},
	}
}

// str is a string of at most that many bytes; 0 for no limit of its own.
func str(description string, limit int) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Description: description}
	if limit > 0 {
		s.MinLength, s.MaxLength = new(1), new(limit)
	}
	return s
}
