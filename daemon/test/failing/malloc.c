/* Preloaded into the daemon, this has a call of the engine fail in C: the first
 * that asks for much memory once the file that FAILING names is there. It aborts
 * if the file says so, and else does not return. The file is removed, so that the
 * next start is well. Nothing but C and C++ asks malloc for that much: Go has a
 * heap of its own. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { much = 1 << 16 };

extern void *__libc_malloc(size_t); /* glibc's own */

static void fail(void)
{
	const char *path = getenv("FAILING");
	char how = 0;
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	if (read(fd, &how, 1) < 0 || close(fd) < 0 || unlink(path) < 0)
		_exit(99);
	if (how == 'a')
		abort();
	for (;;)
		pause();
}

void *malloc(size_t n)
{
	if (n >= much)
		fail();
	return __libc_malloc(n);
}
