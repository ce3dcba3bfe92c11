# The tasks of a parallel region, as tile_tasks.h hands them out.

from fastscratch_kernels._tiles cimport no_memory, tile_table

cdef extern from "tile_tasks.h" nogil:
    struct tile_share:
        pass

    void tile_share_out(tile_share *shares, Py_ssize_t tasks, int threads) noexcept
    Py_ssize_t next_task "tile_next_task"(tile_share *shares, int threads, int thread) noexcept
    void barrier "tile_barrier"() noexcept


cdef inline tile_share *share_out(const tile_table *t, int slot, Py_ssize_t tasks, int threads) except NULL nogil:
    # What the threads of one region take their tasks from, by `next_task`; in the calling thread's scratch memory.
    cdef tile_share *shares = <tile_share *> t.scratch(slot, threads * sizeof(tile_share))
    if shares == NULL:
        no_memory()
    tile_share_out(shares, tasks, threads)
    return shares
