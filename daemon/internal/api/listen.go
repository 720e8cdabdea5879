package api

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/facegate/facegate/daemon/internal/config"
)

const (
	minToken = 16
	maxToken = 4096
)

// A Listener is an address that is listened on, and who may come in there.
type Listener struct {
	net.Listener
	token    *[sha256.Size]byte // of the token's characters; nil: none is asked for
	loopback bool               // TCP that a browser on this machine reaches
}

// Listen opens the configured address: unix:/path, or host:port. Others than
// this machine reach any address but loopback, so those need a certificate and
// a token; on loopback and a socket both are a choice. Errors name the key.
func Listen(ctx context.Context, cfg config.HTTP) (*Listener, error) {
	digest, pair, err := readFiles(cfg)
	if err != nil {
		return nil, err
	}
	l := &Listener{token: digest}
	switch path, unix := strings.CutPrefix(cfg.Listen, "unix:"); {
	case unix && cfg.CertFile != "":
		err = errors.New("a socket takes no http.cert_file (remove it, or listen on host:port)")
	case unix:
		l.Listener, err = listenUnix(ctx, path)
	default:
		err = l.listenTCP(ctx, cfg, pair)
	}
	if err != nil {
		return nil, fmt.Errorf("http.listen: %s: %w", cfg.Listen, err)
	}
	return l, nil
}

// Check says what [Listen] would find wrong with the files and the folder that
// cfg names, each line under its key. A folder directly below /run may be missing:
// systemd makes it when it starts the daemon.
func Check(cfg config.HTTP) error {
	_, _, err := readFiles(cfg)
	path, unix := strings.CutPrefix(cfg.Listen, "unix:")
	if !unix {
		return err
	}
	folder := filepath.Dir(path)
	if _, missing := os.Stat(folder); errors.Is(missing, fs.ErrNotExist) && filepath.Dir(folder) == "/run" {
		return err
	}
	if folderErr := checkFolder(folder); folderErr != nil {
		err = errors.Join(err, fmt.Errorf("http.listen: %w", folderErr))
	}
	return err
}

// checkFolder says why a socket cannot be made in a folder.
func checkFolder(folder string) error {
	const writeAndSearch = 3 // W_OK|X_OK of unistd.h
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no folder %s (create it, or let systemd with RuntimeDirectory=)", folder)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder (correct the path)", folder)
	case syscall.Access(folder, writeAndSearch) != nil:
		return fmt.Errorf("%s: this user may not make a socket there (chown or chmod it)", folder)
	}
	return nil
}

// readFiles reads the token and the certificate, nil where there is none.
func readFiles(cfg config.HTTP) (token *[sha256.Size]byte, pair *tls.Certificate, err error) {
	if cfg.TokenFile != "" {
		text, tokenErr := readToken(cfg.TokenFile)
		if tokenErr != nil {
			err = fmt.Errorf("http.token_file: %w", tokenErr)
		}
		digest := sha256.Sum256([]byte(text))
		token = &digest
	}
	if cfg.CertFile != "" {
		loaded, pairErr := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if pairErr != nil {
			err = errors.Join(err, fmt.Errorf("http.cert_file, http.key_file: %w", pairErr))
		}
		pair = &loaded
	}
	return token, pair, err
}

// readToken reads a token of printable characters, a line break at the end
// apart.
func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", err
	}
	token := strings.TrimRight(string(text), "\r\n")
	switch {
	case len(token) < minToken || len(text) > maxToken:
		return "", fmt.Errorf("%s: a token has %d to %d characters (openssl rand -hex 32 makes one)", path, minToken, maxToken)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", fmt.Errorf("%s: a token has printable ASCII characters only, without a space", path)
	}
	return token, nil
}

func (l *Listener) listenTCP(ctx context.Context, cfg config.HTTP, pair *tls.Certificate) error {
	// The address that was looked at is the one that is listened on.
	addr, err := net.ResolveTCPAddr("tcp", cfg.Listen)
	if err != nil {
		return err
	}
	l.loopback = addr.IP.IsLoopback()
	if !l.loopback && (l.token == nil || cfg.CertFile == "" || cfg.KeyFile == "") {
		return errors.New("others can reach this address: it needs http.cert_file, http.key_file and http.token_file (or listen on 127.0.0.1 or unix:/path)")
	}
	var open net.ListenConfig
	if l.Listener, err = open.Listen(ctx, "tcp", addr.String()); err != nil {
		return err
	}
	if pair != nil {
		l.Listener = tls.NewListener(l.Listener, &tls.Config{
			Certificates: []tls.Certificate{*pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		})
	}
	return nil
}

// listenUnix opens a socket for the daemon's user and group. Before, it
// removes one that a killed daemon left behind.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if err := checkFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	var open net.ListenConfig
	ln, err := open.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// removeStale removes a socket that nobody answers on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("there is something that is not a socket (remove it, or choose another path)")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
		return errors.New("another program answers there (is facegate running already?)")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
