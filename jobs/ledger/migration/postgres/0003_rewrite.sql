-- +goose Up
-- How the tables of a database server were purged: rewrite, rewrite-unseen, or
-- empty for other stores.
ALTER TABLE jobs ADD COLUMN rewrite text NOT NULL DEFAULT '';
