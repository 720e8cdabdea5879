package api_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/facegate/facegate/daemon/internal/api"
)

func TestUploadExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := api.NewUploads()
		early, expires, err := u.Put([]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		if want := time.Now().Add(time.Minute); !expires.Equal(want) {
			t.Errorf("expires %v, want %v", expires, want)
		}
		time.Sleep(30 * time.Second)
		late, _, err := u.Put([]byte{2})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second)
		if _, ok := u.Take(early); ok {
			t.Error("taken after 61 s")
		}
		if got, ok := u.Take(late); !ok || got[0] != 2 {
			t.Errorf("after 31 s: %v, %v", got, ok)
		}
	})
}

func TestUploadsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := api.NewUploads()
		for _, size := range []int{0, api.MaxPicture + 1} {
			if _, _, err := u.Put(make([]byte, size)); err == nil {
				t.Errorf("%d bytes were taken", size)
			}
		}
		for range 8 {
			if _, _, err := u.Put([]byte{1}); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := u.Put([]byte{1}); !errors.Is(err, api.ErrUploadsFull) {
			t.Errorf("ninth: %v, want %v", err, api.ErrUploadsFull)
		}
		time.Sleep(time.Minute + time.Second)
		for i, want := range []error{nil, nil, api.ErrUploadsFull} { // 15 MiB each, of 32
			if _, _, err := u.Put(make([]byte, api.MaxPicture)); !errors.Is(err, want) {
				t.Errorf("large picture %d, after the others expired: %v, want %v", i, err, want)
			}
		}
		time.Sleep(time.Minute + time.Second)
	})
}
