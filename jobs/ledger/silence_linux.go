package ledger

import "syscall"

// userTimeout is TCP_USER_TIMEOUT: how long what was sent may go unanswered by the
// machine at the other end, in milliseconds. Keep-alives are not sent meanwhile.
const userTimeout = 0x12

func bound(fd uintptr) error {
	return syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, userTimeout, int(pgSilence.Milliseconds()))
}
