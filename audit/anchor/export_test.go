package anchor

import "sync/atomic"

// Hang has the disk of a file hold on to whoever asks until release is closed,
// and counts them.
func (f *File) Hang(release <-chan struct{}) (asked *atomic.Int32) {
	read, write := f.read, f.write
	asked = new(atomic.Int32)
	f.read = func(path string) ([]byte, error) {
		asked.Add(1)
		<-release
		return read(path)
	}
	f.write = func(path string, head []byte) error {
		asked.Add(1)
		<-release
		return write(path, head)
	}
	return asked
}
