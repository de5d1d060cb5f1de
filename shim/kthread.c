// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernel threads and completions, which tests have and the library has not
 */
#include <pthread.h>
#include <stdlib.h>

#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

struct task_struct {
	pthread_t thread;
	int (*fn)(void *data);
	void *data;
	int ret;
	bool stop;
};

static __thread struct task_struct *current_task;

static void *run_task(void *arg)
{
	current_task = arg;
	current_task->ret = current_task->fn(current_task->data);
	return NULL;
}

struct task_struct *kthread_run(int (*fn)(void *data), void *data,
				const char *name)
{
	struct task_struct *task = calloc(1, sizeof(*task));
	int error;

	(void)name;
	if (!task)
		return ERR_PTR(-ENOMEM);
	task->fn = fn;
	task->data = data;
	error = pthread_create(&task->thread, NULL, run_task, task);
	if (error) {
		free(task);
		return ERR_PTR(-error);
	}
	return task;
}

int kthread_stop(struct task_struct *task)
{
	int ret;

	WRITE_ONCE(task->stop, true);
	pthread_join(task->thread, NULL);
	ret = task->ret;
	free(task);
	return ret;
}

bool kthread_should_stop(void)
{
	return READ_ONCE(current_task->stop);
}

void init_completion(struct completion *completion)
{
	pthread_mutex_init(&completion->mutex, NULL);
	pthread_cond_init(&completion->cond, NULL);
	completion->done = 0;
}

void complete(struct completion *completion)
{
	pthread_mutex_lock(&completion->mutex);
	completion->done++;
	pthread_cond_signal(&completion->cond);
	pthread_mutex_unlock(&completion->mutex);
}

void wait_for_completion(struct completion *completion)
{
	shim_might_sleep("completion");
	pthread_mutex_lock(&completion->mutex);
	while (!completion->done)
		pthread_cond_wait(&completion->cond, &completion->mutex);
	completion->done--;
	pthread_mutex_unlock(&completion->mutex);
}
