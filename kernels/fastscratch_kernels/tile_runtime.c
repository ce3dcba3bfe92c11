/* What the tiles need of the machine: which instruction sets it has, memory for each thread, the handling of denormals. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tile.h"

extern const struct tile_table tile_baseline;
#if defined(__x86_64__)
#include <immintrin.h>
extern const struct tile_table tile_avx2, tile_avx512;
#endif

const struct tile_table *tile_select(const char *isa) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!strcmp(isa, "avx512"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                       __builtin_cpu_supports("fma")
                   ? &tile_avx512
                   : NULL;
    if (!strcmp(isa, "avx2"))
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &tile_avx2 : NULL;
#endif
    return strcmp(isa, "baseline") ? NULL : &tile_baseline;
}

#define SLOTS 8
#define ALIGNMENT 64

struct slot {
    void *memory;
    size_t bytes;
};

static _Thread_local struct slot *scratch; /* SLOTS of them */
static pthread_key_t at_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A thread that ends gives its memory back. */
static void free_scratch(void *slots) {
    for (int i = 0; i < SLOTS; i++) free(((struct slot *)slots)[i].memory);
    free(slots);
}

static void make_key(void) { pthread_key_create(&at_end, free_scratch); }

void *tile_scratch(int slot, size_t bytes) {
    if (!scratch) {
        pthread_once(&once, make_key);
        scratch = calloc(SLOTS, sizeof(struct slot));
        if (!scratch) return NULL;
        pthread_setspecific(at_end, scratch);
    }
#if defined(__SANITIZE_ADDRESS__) /* nothing to spare, so that a step beyond what was asked for is seen */
    if (scratch[slot].bytes != bytes) {
        void *memory = NULL;
#else
    if (scratch[slot].bytes < bytes) {
        void *memory = NULL;
        bytes = (bytes + bytes / 4 + ALIGNMENT) / ALIGNMENT * ALIGNMENT; /* some more: sizes grow by steps */
#endif
        free(scratch[slot].memory);
        if (posix_memalign(&memory, ALIGNMENT, bytes)) memory = NULL;
        scratch[slot].memory = memory;
        scratch[slot].bytes = memory ? bytes : 0;
    }
    return scratch[slot].memory;
}

#if defined(__x86_64__)
unsigned long tile_flush_denormals(void) {
    const unsigned state = _mm_getcsr();
    _mm_setcsr(state | 0x8040); /* flush results to zero, read denormals as zero */
    return state;
}
void tile_restore_denormals(unsigned long state) { _mm_setcsr((unsigned)state); }
#elif defined(__aarch64__)
unsigned long tile_flush_denormals(void) {
    unsigned long state;
    __asm__ volatile("mrs %0, fpcr" : "=r"(state));
    __asm__ volatile("msr fpcr, %0" : : "r"(state | (1ul << 24)));
    return state;
}
void tile_restore_denormals(unsigned long state) { __asm__ volatile("msr fpcr, %0" : : "r"(state)); }
#else
unsigned long tile_flush_denormals(void) { return 0; }
void tile_restore_denormals(unsigned long state) { (void)state; }
#endif
