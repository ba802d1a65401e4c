package anchor

// Hang has the disk of a file hold on to whoever asks until release is closed.
func (f *File) Hang(release <-chan struct{}) {
	read, write := f.read, f.write
	f.read = func(path string) ([]byte, error) {
		<-release
		return read(path)
	}
	f.write = func(path string, head []byte) error {
		<-release
		return write(path, head)
	}
}
