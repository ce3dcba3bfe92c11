/* How the threads of a parallel region share its tasks.

   Each has a run of tasks of its own. Kernels whose tasks are images give a thread the same images, so that what it has
   written of them is still in its cache when the next kernel reads it: that counts where cores have no cache in common.
   Who is through takes tasks of others over, so that nobody waits for a core that is slower or has other work. */
#ifndef TILE_TASKS_H
#define TILE_TASKS_H
#include <stddef.h>

/* A thread's run, on a cache line of its own. */
struct tile_share {
    ptrdiff_t next, end;
    char room[64 - 2 * sizeof(ptrdiff_t)];
};

static inline void tile_share_out(struct tile_share *shares, ptrdiff_t tasks, int threads) {
    for (int i = 0; i < threads; i++) {
        shares[i].next = tasks * i / threads;
        shares[i].end = tasks * (i + 1) / threads;
    }
}

/* The next task for a thread, or -1 where none is left. Tasks need no order of memory: `tile_barrier` and the end of the
 * region have one. */
static inline ptrdiff_t tile_next_task(struct tile_share *shares, int threads, int thread) {
    for (int i = 0; i < threads; i++) {
        struct tile_share *share = shares + (thread + i) % threads;
        if (__atomic_load_n(&share->next, __ATOMIC_RELAXED) < share->end) {
            const ptrdiff_t task = __atomic_fetch_add(&share->next, 1, __ATOMIC_RELAXED);
            if (task < share->end) return task;
        }
    }
    return -1;
}

/* Between two loops of a region where the second one reads what the first one wrote: Cython's loops do not wait at their
   ends. All threads of the region have to come here. */
static inline void tile_barrier(void) {
#ifdef _OPENMP
#pragma omp barrier
#endif
}

#endif
