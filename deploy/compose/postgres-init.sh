#!/bin/bash
# Run once by the image of PostgreSQL, when the database is made: the user that owns
# Lethe's database, and nothing else. The password goes in through psql's standard
# input, not through a command line.
set -euo pipefail

password=$(cat /run/secrets/ledger-password)
psql -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<SQL
\\set password '${password}'
CREATE ROLE lethe LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
CREATE DATABASE lethe OWNER lethe ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE lethe FROM PUBLIC;
SQL
