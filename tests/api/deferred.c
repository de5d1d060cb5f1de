// SPDX-License-Identifier: GPL-2.0-only
// All that a process has done with the library is to defer: its child knows that the thread
// that releases is not there.
#include <sys/wait.h>

#include "api.h"

static int released;

static void release(struct iommu_attach_elm *elm)
{
	(void)elm;
	released++;
}

int main(void)
{
	static struct iommu_attach_elm elm;
	pid_t child;
	int status;

	alarm(60);
	EXPECT(!iommu_attach_defer(&elm, release));
	child = fork();
	EXPECT(child >= 0);
	if (!child) {
		alarm(10);
		iommu_attach_barrier();
		EXPECT(released == 1);
		exit(0);
	}
	EXPECT(waitpid(child, &status, 0) == child && !status);
	iommu_attach_barrier();
	EXPECT(released == 1);
	return 0;
}
