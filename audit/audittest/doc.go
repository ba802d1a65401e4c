// Package audittest starts PostgreSQL servers for tests, and kills them.
//
// # Decisions
//
// 2026-11-28. A server of the test process's own, not a service that must run
// before: a test that needs a database says so by calling [Postgres] and works
// on any machine that has the binaries. PostgreSQL refuses to run as root, so
// under root it runs as nobody.
//
// 2026-11-28. It listens on a socket in its own folder and on no port, so
// nothing on the machine can be mistaken for it.
//
// 2026-11-28. A shell holds the server and a pipe to the test. When the pipe
// closes, be it by kill -9, the shell ends the server and removes its folder.
package audittest
