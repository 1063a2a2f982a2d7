/* All that is in the test image: waits like a pod's sandbox, or opens a file until it is killed. */
#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	for (;;) {
		if (argc < 2)
			pause();
		else
			close(open(argv[1], O_RDONLY));
		usleep(50000);
	}
}
