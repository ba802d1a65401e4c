-- +goose Up
ALTER TABLE requests ADD COLUMN filed_by TEXT NOT NULL DEFAULT 'open';
