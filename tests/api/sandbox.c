// SPDX-License-Identifier: GPL-2.0-only
// A program that refuses itself membarrier(2) when the library relies on it already is told
// why it ends.
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "api.h"

static struct iommu_device iommu;

static void refuse(int call)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	EXPECT(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	EXPECT(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

int main(void)
{
	int query = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	char text[512] = "";
	int status, from[2];
	pid_t child;

	if (query < 0 || !(query & MEMBARRIER_CMD_PRIVATE_EXPEDITED)) {
		printf("this kernel has no membarrier(2) to refuse\n");
		return 0;
	}
	EXPECT(!pipe(from));
	child = fork();
	EXPECT(child >= 0);
	if (!child) {
		EXPECT(dup2(from[1], STDERR_FILENO) >= 0);
		EXPECT(!iommu_attach_fence_init(&iommu.fence));
		iommu_attach_drain(&iommu.fence);
		refuse(SYS_membarrier);
		iommu_attach_drain(&iommu.fence);
		_exit(0);
	}
	close(from[1]);
	EXPECT(waitpid(child, &status, 0) == child);
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	EXPECT(read(from[0], text, sizeof(text) - 1) > 0);
	EXPECT(strstr(text, "libiommu-alist: membarrier(2) fails"));
	return 0;
}
