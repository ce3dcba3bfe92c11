/* The inner loops of the Cython kernels, once for each instruction set and precision.
 *
 * A convolution, whatever its stride, dilation and groups, is described by two tables of offsets into an image:
 *
 *     pix[i]   where the patch of output pixel i begins
 *     seg[s]   where segment s of a patch begins within it: a run of L numbers that lie side by side. Channels come
 *              last, so one kernel row is one run of KW * C numbers (KW runs of C where dilation parts its columns)
 *
 * so that number k of segment s in the patch of pixel i is x[pix[i] + seg[s] + k]. The patch matrix of im2col is these
 * reads; it is never written ("implicit im2col").
 *
 * tile_real.h holds the functions, tile_<isa>.c compiles them for one instruction set, and the table of the chosen one
 * is what the .pyx files call.
 */
#ifndef FASTSCRATCH_TILE_H
#define FASTSCRATCH_TILE_H

#include <stddef.h>
#include <stdint.h>

/* Offsets that describe the patches of one image; `window` pixels in a row of `pix` are one pooling window. */
struct tile_patches {
    const ptrdiff_t *pix;
    ptrdiff_t npix;
    const ptrdiff_t *seg;
    ptrdiff_t nseg;
    ptrdiff_t seglen;
    ptrdiff_t window;
};

/* Winograd's forms, see tile_winograd.h. */
enum tile_form { TILE_F2K3, TILE_F4K3, TILE_F2K5 };

/* A convolution of N images (H, W, C), with a border of ph and pw zeros, to (OH, OW, F), as Winograd's tiles. */
struct tile_winograd {
    int form;
    ptrdiff_t H, W, C, ph, pw, OH, OW, F;
    ptrdiff_t TH, TW;              /* tiles down and across an image */
    /* From one position to the next in `u` (C, block), in `v` (n, C), in `m` and in `z` (n, block). */
    ptrdiff_t ustep, vstep, mstep, zstep;
    const void *zeros;             /* C of them */
};

/* A step of Adam; `shrink` multiplies the values before it, `decay` of them is added to the gradient. */
struct tile_adam {
    double lr, beta1, beta2, eps, decay, shrink;
};

#define TILE_DEAD 255 /* the argmax of a window that ReLU switched off */

#define TILE_FUNCTIONS(REAL)                                                                                           \
    /* y[i * block + j] = x[i * ldx + j] for j < n, zeros behind; y[j * ldy + i] = x[i * ldx + j], j < columns. */     \
    void (*pack)(const REAL *x, ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t n, REAL *y);                                  \
    void (*transpose)(const REAL *x, ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t columns, REAL *y, ptrdiff_t ldy);        \
    /* y[i * ldy + f] = bias[f] + sum over s, k of x[pix[i] + seg[s] + k] * w[.., f]; `buf` holds a chunk of it. */    \
    void (*forward)(const REAL *x, const struct tile_patches *p, const REAL *w, const REAL *bias, ptrdiff_t nf,        \
                    REAL *buf, REAL *y, ptrdiff_t ldy);                                                                \
    /* The same, then ReLU and the maximum of each window of pixels, and its place. */                                 \
    void (*forward_pool)(const REAL *x, const struct tile_patches *p, const REAL *w, const REAL *bias, ptrdiff_t nf,   \
                         REAL *buf, REAL *y, uint8_t *argmax, ptrdiff_t ldy);                                          \
    /* dxp[pix[i] + at + c] += sum over f of dy[i * ldy + f] * wt[f][c], for nc of a block of channels c. These, and */   \
    /* the filters of dweight, are rounded up to one or two vectors. */                                                \
    void (*scatter)(const REAL *dy, ptrdiff_t ldy, ptrdiff_t nf, const REAL *wt, ptrdiff_t nc, const ptrdiff_t *pix,   \
                    ptrdiff_t npix, REAL *dxp);                                                                        \
    /* dw[(s * nk + k) * ldw + f] += sum over images n, pixels i of x[n][pix[i] + seg[s] + k] * dy[n][i * ldg + f], */    \
    /* for the first nk rows of each segment, nf of a block of filters f. */                                           \
    void (*dweight)(const REAL *x, ptrdiff_t ldx, const struct tile_patches *p, ptrdiff_t nk, const REAL *dy,          \
                    ptrdiff_t lddy, ptrdiff_t ldg, ptrdiff_t nf, ptrdiff_t n, REAL *dw, ptrdiff_t ldw);                \
    /* rows[i - i0][0..ldr) = the patch of pixel i, a 1, zeros; one vector behind `x` and `rows` is touched. */         \
    void (*patches)(const REAL *x, const struct tile_patches *p, ptrdiff_t i0, ptrdiff_t i1, ptrdiff_t ldr,            \
                    REAL *rows);                                                                                       \
    /* out[f][..] += sum over n windows i of dy[i][f] * rows[i * window + argmax[i][f]], `zeros` where that is dead. */ \
    void (*pooled)(const REAL *rows, ptrdiff_t window, ptrdiff_t ldr, const REAL *zeros, const REAL *dy,               \
                   const uint8_t *argmax, ptrdiff_t F, ptrdiff_t n, REAL *out);                                        \
    /* out[j] += sum over entries e of g[e] * rows[at[e] * step + j], j < nv vectors. */                               \
    void (*gather)(const REAL *rows, ptrdiff_t step, const int32_t *at, const REAL *g, ptrdiff_t n, ptrdiff_t nv,      \
                   REAL *out);                                                                                         \
    /* Winograd: inputs c0..c1 of a block of filters transformed, which are turned round for the images' gradient; */  \
    /* outputs of tiles, pooled where `argmax` is there; both sides of dw for tiles; dw of one channel and block from */\
    /* its positions. */                                                                                               \
    void (*winograd_filters)(const struct tile_winograd *s, const REAL *w, int turn, ptrdiff_t o0, ptrdiff_t c0,       \
                             ptrdiff_t c1, REAL *u);                                                                   \
    void (*winograd_forward)(const struct tile_winograd *s, const REAL *x, const REAL *u, const REAL *bias,            \
                             ptrdiff_t t0, ptrdiff_t n, REAL *v, REAL *m, REAL *y, uint8_t *argmax);                   \
    void (*winograd_tiles)(const struct tile_winograd *s, const REAL *x, const REAL *dy, ptrdiff_t t0, ptrdiff_t n,    \
                           REAL *v, REAL *z);                                                                          \
    void (*winograd_back)(const struct tile_winograd *s, const REAL *du, ptrdiff_t pstep, ptrdiff_t c, ptrdiff_t f0,   \
                          REAL *dw);                                                                                   \
    /* Depthwise: outputs of all pixels for n of the C channels; their gradient added to the images'; sums for dw. */    \
    void (*depthwise)(const REAL *x, const struct tile_patches *p, const REAL *w, const REAL *bias, ptrdiff_t C,       \
                      ptrdiff_t n, REAL *y);                                                                           \
    void (*depthwise_back)(const REAL *dy, const struct tile_patches *p, const REAL *w, ptrdiff_t C, ptrdiff_t n,      \
                           REAL *dx);                                                                                  \
    void (*depthwise_sums)(const REAL *x, const struct tile_patches *p, const REAL *dy, ptrdiff_t C, ptrdiff_t n,      \
                           REAL *dw);                                                                                  \
    /* Rows of C numbers: sums; means and sums of squared distances; batch normalization and ReLU; the sums that its */    \
    /* gradient needs; the gradient of its input. See tile_norm.h. */                                                   \
    void (*sums)(const REAL *x, ptrdiff_t rows, ptrdiff_t ldx, ptrdiff_t C, REAL *sum);                                \
    void (*moments)(const REAL *x, ptrdiff_t rows, ptrdiff_t C, REAL *mean, REAL *squares);                            \
    void (*normalize)(const REAL *x, ptrdiff_t rows, ptrdiff_t C, const REAL *mean, const REAL *scale,                 \
                      const REAL *shift, int relu, REAL *y);                                                           \
    void (*gradient_sums)(const REAL *dy, const REAL *x, ptrdiff_t rows, ptrdiff_t C, const REAL *mean,                \
                          const REAL *scale, const REAL *shift, int relu, REAL *sum, REAL *product);                   \
    void (*gradient_rows)(const REAL *dy, const REAL *x, ptrdiff_t rows, ptrdiff_t C, const REAL *mean,                \
                          const REAL *scale, const REAL *shift, const REAL *offset, const REAL *slope, int relu,       \
                          REAL *dx);                                                                                   \
    /* The largest of n pixels and its place, for C channels; for n windows in a row, dx = (or +=) dy where `argmax`   \
     * names `place`, at pixels that are `step` apart. */                                                              \
    void (*maxpool)(const REAL *const *pixel, const uint8_t *places, ptrdiff_t n, ptrdiff_t C, REAL *y,                \
                    uint8_t *argmax);                                                                                  \
    void (*maxpool_back)(const REAL *dy, const uint8_t *argmax, uint8_t place, ptrdiff_t C, ptrdiff_t n,               \
                         ptrdiff_t step, int add, REAL *dx);                                                           \
    /* Steps of the optimizers over n numbers; `velocity` may be NULL. */                                               \
    void (*sgd)(ptrdiff_t n, const REAL *value, const REAL *grad, const REAL *velocity, REAL *out, REAL *out_velocity, \
                REAL lr, REAL momentum, int nesterov, REAL decay);                                                     \
    void (*adam)(ptrdiff_t n, const REAL *value, const REAL *grad, const REAL *m, const REAL *v, REAL *out,            \
                 REAL *out_m, REAL *out_v, const struct tile_adam *s);                                                 \
    /* max(x, 0) of n numbers, and dy where it was positive; outputs may be the first input. */                         \
    void (*relu)(ptrdiff_t n, const REAL *x, REAL *out);                                                               \
    void (*relu_back)(ptrdiff_t n, const REAL *dy, const REAL *y, REAL *dx);                                           \
    ptrdiff_t block;   /* filters of a packed block: two vectors */                                                    \
    ptrdiff_t vector;  /* numbers in a vector */                                                                       \
    ptrdiff_t pixels;  /* pixels, or rows, of a tile of sums in registers */                                           \
    ptrdiff_t gather_max; /* the most vectors that `gather` takes */                                                   \
    ptrdiff_t buffer;  /* numbers that `buf` must hold; for forward_pool a window of blocks at least */

struct tile_functions_f32 {
    TILE_FUNCTIONS(float)
};
struct tile_functions_f64 {
    TILE_FUNCTIONS(double)
};

struct tile_table {
    const char *isa;
    struct tile_functions_f32 f32;
    struct tile_functions_f64 f64;
    /* Pixels that dW adds up in registers before it goes on to the next rows. */
    ptrdiff_t pass_pixels;
    /* Memory of the calling thread, kept for its next call with that slot; NULL where there is none to be had. */
    void *(*scratch)(int slot, size_t bytes);
    /* Numbers too small to be normal cost a hundred cycles each: count them as zero in this thread, until restored. */
    unsigned long (*flush_denormals)(void);
    void (*restore_denormals)(unsigned long state);
};

/* NULL where this build or this CPU lacks it. */
const struct tile_table *tile_select(const char *isa);

void *tile_scratch(int slot, size_t bytes);
unsigned long tile_flush_denormals(void);
void tile_restore_denormals(unsigned long state);

#endif
