// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page requests: hw_fault
 *
 * A function asks for a page that is not mapped; the request comes to this program through
 * iommufd, which maps the page and answers; then the function reads it. With the domain of
 * the function, and refused once. Then the answer is lost.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/iommufd.h>

#include "hw.h"

#define IOVA		0x40000000UL
#define REQUESTS	16
#define SECONDS		10
#define SUCCESS		1UL		/* HW_RESPONSE: 1 + the code of success, 0 */
#define INVALID		2UL		/* 1 + the code of an invalid request, 1 */

static struct hardware hw;

static uint32_t fault_queue(int *fd)
{
	struct iommu_fault_alloc alloc = { .size = sizeof(alloc) };

	if (ioctl(hw.space.fd, IOMMU_FAULT_QUEUE_ALLOC, &alloc))
		fail("no fault queue: %s", strerror(errno));
	*fd = (int)alloc.out_fault_fd;
	return alloc.out_fault_id;
}

static uint32_t faulting_hwpt(struct function *function, uint32_t ioas, uint32_t queue)
{
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc), .flags = IOMMU_HWPT_FAULT_ID_VALID,
		.dev_id = function->device.id, .pt_id = ioas, .fault_id = queue,
	};

	if (ioctl(hw.space.fd, IOMMU_HWPT_ALLOC, &alloc))
		fail("no HWPT with a fault queue: %s", strerror(errno));
	return alloc.out_hwpt_id;
}

static struct iommu_hwpt_pgfault next_fault(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct iommu_hwpt_pgfault fault;

	if (poll(&poll_fd, 1, SECONDS * 1000) != 1 ||
	    read(fd, &fault, sizeof(fault)) != sizeof(fault))
		fail("the page request does not arrive");
	return fault;
}

/* Return: what the function is answered. */
static uint64_t request(struct function *function, int fd, uint32_t ioas, char *page,
			uint64_t iova, unsigned int group)
{
	struct iommu_hwpt_page_response answer = { 0 };
	struct iommu_hwpt_pgfault fault;
	uint64_t until;

	page_request(function, PASID_NONE, iova, group);
	fault = next_fault(fd);
	if (fault.addr != iova || fault.grpid != group || fault.dev_id != function->device.id)
		fail("the request is for 0x%lx, group %u, device %u", (long)fault.addr,
		     fault.grpid, fault.dev_id);
	if (page)
		map_in(&hw, ioas, page, iova, SZ_4K);
	answer.cookie = fault.cookie;
	answer.code = page ? IOMMUFD_PAGE_RESP_SUCCESS : IOMMUFD_PAGE_RESP_INVALID;
	if (write(fd, &answer, sizeof(answer)) != sizeof(answer))
		fail("the answer is refused: %s", strerror(errno));
	until = now_ns() + SECONDS * 1000000000UL;
	while (!page_response(function) && !control_get(&hw, function->unit, HW_TROUBLE_HITS) &&
	       now_ns() < until)
		usleep(20);
	return page_response(function);
}

/* What the figures say when commands get lost: the answer, and then those of an unmap. */
static void show_oracles(struct function *function, int fd, uint32_t ioas, char *page,
			 uint64_t iova)
{
	uint64_t answer;

	lose(&hw, 1u << TYPE_PAGE_GRP);
	answer = request(function, fd, ioas, page, iova, 100);
	lose_end(&hw);
	expect_data(function, PASID_NONE, iova, *(uint64_t *)page);
	lose(&hw, TYPES_ATC);
	unmap_in(&hw, ioas, iova, SZ_4K);
	lose_end(&hw);
	report_case("page requests, commands lost", "\"fired_answer\": %d, \"fired_stale\": %lu",
		    answer != SUCCESS, look(&hw));
}

int main(void)
{
	struct function *function;
	int fd, i, wrong = 0;
	uint64_t began;
	uint32_t ioas;
	char *mem;

	hw_open(&hw, 1);
	mem = memory(REQUESTS * SZ_4K);
	for (i = 0; i < REQUESTS; i++)
		*(uint64_t *)(mem + i * SZ_4K) = 0x100UL + i;
	function = hw_first(&hw, 0);
	ioas = ioas_alloc(&hw);
	attach_to(function, faulting_hwpt(function, ioas, fault_queue(&fd)));

	began = now_ns();
	for (i = 0; i < REQUESTS; i++) {
		uint64_t iova = IOVA + i * SZ_4K;

		wrong += request(function, fd, ioas, mem + i * SZ_4K, iova, i + 1) != SUCCESS;
		expect_data(function, PASID_NONE, iova, 0x100UL + i);
	}
	began = now_ns() - began;
	wrong += request(function, fd, ioas, NULL, IOVA - SZ_4K, 99) != INVALID;
	expect_fault(function, PASID_NONE, IOVA - SZ_4K);
	report_case("page requests", "\"wrong_answers\": %d, \"stale\": %lu, \"us\": %.0f", wrong,
		    look(&hw), began / 1e3 / REQUESTS);
	show_oracles(function, fd, ioas, mem, IOVA + REQUESTS * SZ_4K);
	return 0;
}
