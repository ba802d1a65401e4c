package ledger_test

import (
	"net"
	"syscall"
	"testing"

	"lethe/jobs/ledger"
)

// A machine that is gone does not say so. Whoever waits for its answer must learn
// of it within half a minute, not after the quarter of an hour that TCP takes.
func TestAConnectionToAMachineThatIsGoneEnds(t *testing.T) {
	door, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close()
	conn, err := ledger.Dial(t.Context(), "tcp", door.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	option := func(n int) (value int) {
		if out := raw.Control(func(fd uintptr) { value, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, n) }); out != nil || err != nil {
			t.Fatal(out, err)
		}
		return value
	}
	const userTimeout = 0x12 // what was sent and is not acknowledged, in milliseconds
	if ms := option(userTimeout); ms <= 0 || ms > 30_000 {
		t.Errorf("what was sent may go unacknowledged for %d ms", ms)
	}
	idle, each, times := option(syscall.TCP_KEEPIDLE), option(syscall.TCP_KEEPINTVL), option(syscall.TCP_KEEPCNT)
	if idle+each*times > 30 { // what was acknowledged and is not answered
		t.Errorf("silence is noticed after %d s", idle+each*times)
	}
}
