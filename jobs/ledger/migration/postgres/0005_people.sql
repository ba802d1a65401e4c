-- +goose Up
ALTER TABLE requests ADD COLUMN filed_by text COLLATE "C" NOT NULL DEFAULT 'open';
