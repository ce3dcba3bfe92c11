"""The geometries of the table of `cases.py`: x is (N, H, W, C), pairs are (height, width)."""

from __future__ import annotations

from case_kinds import Batch, Logits, Norm, Numbers, Pool, Step, Windows

CONVOLUTIONS = (
    Windows("plain", (2, 5, 6, 3), (3, 3)),
    Windows("tall_kernel", (2, 6, 5, 2), (3, 2), 5),
    Windows("wide_kernel", (2, 4, 8, 2), (1, 5), 3),
    Windows("column_kernel", (1, 7, 3, 3), (5, 1)),
    Windows("one_by_one", (2, 3, 4, 5), (1, 1), 7),
    Windows("one_by_one_strided", (2, 4, 5, 3), (1, 1), stride=(2, 3)),
    Windows("overlapping_strides", (2, 8, 7, 2), (3, 3), stride=(2, 1)),
    Windows("gaps", (2, 8, 9, 2), (2, 2), stride=(3, 4)),
    Windows("remainders", (2, 8, 8, 2), (3, 3), stride=(2, 3)),
    Windows("padding", (2, 4, 5, 3), (3, 3), padding=(1, 1)),
    Windows("rectangular_padding", (2, 4, 5, 2), (3, 5), padding=(1, 2)),
    Windows("windows_in_the_border", (1, 3, 3, 2), (2, 2), padding=(3, 2)),
    Windows("dilation", (2, 7, 8, 2), (3, 2), dilation=(2, 3)),
    Windows("dilation_stride_padding", (2, 7, 9, 2), (3, 3), stride=(2, 1), padding=(2, 1), dilation=(2, 2)),
    Windows("groups", (2, 5, 5, 4), (3, 3), 6, groups=2),
    Windows("depthwise", (2, 5, 6, 3), (3, 3), 3, padding=(1, 1), groups=3),
    Windows("depthwise_sixteen", (17, 4, 5, 16), (3, 3), 16, padding=(1, 1), groups=16),
    Windows("depthwise_remainders", (1, 6, 5, 29), (5, 3), 29, (2, 1), (2, 0), (1, 2), groups=29, bias=False),
    Windows("depthwise_doubled", (2, 5, 5, 3), (3, 3), 6, groups=3),
    Windows("groups_and_all", (2, 7, 6, 4), (3, 2), 4, (2, 1), (1, 0), (2, 1), groups=2, bias=False),
    Windows("kernel_is_image", (3, 4, 5, 2), (4, 5)),
    Windows("one_pixel", (2, 1, 1, 3), (3, 3), padding=(1, 1)),
    Windows("one_image", (1, 6, 5, 3), (3, 3)),
    Windows("one_channel", (3, 5, 5, 1), (3, 3), 8),
    Windows("one_filter", (2, 4, 4, 3), (2, 2), 1),
    Windows("no_images", (0, 5, 5, 3), (3, 3)),
    Windows("no_bias", (2, 4, 4, 3), (3, 3), 5, bias=False),
    Windows("seven_images", (7, 4, 4, 2), (3, 3), 3),
    Windows("eight_filters", (1, 5, 9, 2), (3, 3), 8),
    Windows("nine_filters", (1, 4, 8, 2), (3, 3), 9),
    Windows("seventeen_channels", (1, 3, 5, 17), (3, 3), 25),  # too small for Winograd, which spreads infinities
    Windows("seventeen_channels_wide", (1, 4, 6, 17), (2, 3), 25),
    Windows("wide_image", (1, 3, 23, 2), (3, 3), 16),
)

POOLINGS = (
    Pool("halves", (2, 4, 6, 3), (2, 2)),
    Pool("tall_window", (2, 6, 4, 2), (3, 2)),
    Pool("wide_window", (2, 3, 8, 2), (1, 4)),
    Pool("one_by_one", (2, 3, 4, 2), (1, 1)),
    Pool("overlapping", (2, 6, 7, 2), (3, 3), (2, 1)),
    Pool("gaps", (2, 8, 9, 2), (2, 2), (3, 4)),
    Pool("remainders", (2, 7, 8, 2), (2, 3)),
    Pool("padding", (2, 4, 4, 2), (3, 3), (2, 2), (1, 1)),
    Pool("half_padding", (2, 5, 4, 2), (2, 2), (1, 2), (1, 1)),
    Pool("rectangular_padding", (1, 5, 6, 3), (4, 3), (2, 2), (2, 1)),
    Pool("padding_not_counted", (2, 5, 6, 2), (3, 3), (2, 2), (1, 1), count_include_pad=False),
    Pool("rectangular_not_counted", (1, 6, 5, 2), (4, 2), (1, 2), (2, 1), count_include_pad=False),
    Pool("window_is_image", (3, 4, 5, 2), (4, 5)),
    Pool("one_pixel", (2, 1, 1, 3), (2, 2), (1, 1), (1, 1)),
    Pool("one_image", (1, 4, 4, 3), (2, 2)),
    Pool("one_channel", (3, 4, 4, 1), (2, 2)),
    Pool("no_images", (0, 4, 4, 2), (2, 2)),
    Pool("nine_channels", (1, 4, 4, 9), (2, 2)),
    Pool("seventeen_channels", (2, 4, 4, 17), (3, 3), (1, 1)),
    Pool("largest_byte_window", (1, 2, 127, 1), (2, 127)),
    Pool("smallest_int_window", (1, 15, 17, 2), (15, 17)),
)

FUSED = (
    Windows("plain", (2, 6, 6, 3), (3, 3), 4),
    Windows("five_by_five", (1, 8, 8, 2), (5, 5), 8),
    Windows("rectangles", (2, 6, 8, 2), (2, 3), 5, pool={"pool_kernel_size": (1, 3)}),
    Windows("pool_remainders", (2, 7, 6, 2), (3, 3), 3, pool={"pool_kernel_size": (2, 3)}),
    Windows("pool_overlaps", (2, 6, 6, 2), (2, 2), 3, pool={"pool_kernel_size": (3, 3), "pool_stride": (1, 2)}),
    Windows("pool_gaps", (2, 8, 9, 2), (2, 2), 3, pool={"pool_kernel_size": (2, 2), "pool_stride": (3, 4)}),
    Windows(
        "pool_padding",
        (2, 5, 6, 2),
        (2, 2),
        3,
        pool={"pool_kernel_size": (3, 2), "pool_stride": (2, 2), "pool_padding": (1, 1)},
    ),
    Windows("pool_all", (2, 5, 4, 2), (3, 2), 3, pool={"pool_kernel_size": (3, 3)}),
    Windows("pool_one_by_one", (2, 4, 4, 2), (3, 3), 3, pool={"pool_kernel_size": (1, 1)}),
    Windows("stride", (2, 9, 8, 2), (3, 3), 3, stride=(2, 1)),
    Windows("gaps", (1, 10, 10, 2), (2, 2), 3, stride=(3, 3)),
    Windows("padding", (2, 4, 5, 3), (3, 3), 4, padding=(1, 2)),
    Windows("dilation", (1, 8, 8, 2), (3, 2), 3, padding=(1, 0), dilation=(2, 3)),
    Windows("groups", (2, 6, 6, 4), (3, 3), 6, groups=2),
    Windows("depthwise", (2, 6, 6, 3), (3, 3), 3, padding=(1, 1), groups=3),
    Windows("one_image", (1, 5, 6, 3), (3, 3), 4),
    Windows("one_channel", (2, 5, 5, 1), (2, 2), 8),
    Windows("no_images", (0, 6, 6, 2), (3, 3), 3),
    Windows("no_bias", (2, 6, 6, 2), (3, 3), 5, bias=False),
    Windows("nine_filters", (1, 6, 6, 2), (3, 3), 9),
    Windows("seventeen_filters", (3, 5, 7, 3), (2, 2), 17),
    Windows("seven_images", (7, 4, 4, 2), (3, 3), 2),
    Windows("runs_of_eight", (2, 4, 5, 4), (3, 2), 17, padding=(1, 0)),
    Windows("runs_of_sixteen", (2, 3, 6, 8), (2, 2), 17, padding=(1, 0), pool={"pool_kernel_size": (1, 3)}),
    Windows("runs_of_forty_eight", (1, 4, 8, 16), (2, 3), 33, (2, 1), pool={"pool_kernel_size": (1, 3)}),
    Windows("runs_of_ninety_six", (1, 6, 4, 32), (2, 3), 9, (2, 1), (1, 0), pool={"pool_kernel_size": (2, 1)}),
    Windows("sixteen_channels_dilated", (1, 6, 8, 16), (2, 2), 17, (1, 2), (1, 2), (2, 3)),
)

NORMS = (
    Norm("plain", (2, 3, 4, 5)),
    Norm("with_relu", (3, 4, 3, 8), relu=True),
    Norm("evaluation", (2, 3, 3, 6), training=False),
    Norm("evaluation_with_relu", (2, 2, 5, 9), relu=True, training=False),
    Norm("one_channel", (3, 2, 2, 1), relu=True),
    Norm("one_image", (1, 5, 2, 16)),
    Norm("two_values", (2, 1, 1, 3)),
    Norm("seventeen_channels", (2, 3, 5, 17), relu=True),
    Norm("thirty_five_channels", (2, 2, 3, 35), relu=True),
    Norm("many_rows", (5, 9, 9, 64), relu=True),  # several chunks, the last one smaller
    Norm("no_images", (0, 3, 3, 2), training=False),
)

NUMBERS = (
    Numbers("images", (2, 3, 5, 3)),
    Numbers("rows", (3, 17)),
    Numbers("seventy_one", (71,)),
    Numbers("one_row", (1, 133)),
    Numbers("several_chunks", (2, 65_536 + 5)),
    Numbers("no_images", (0, 4, 4, 2)),
)

SGD_STEPS = (
    Step("momentum", 17, {"lr": 0.5, "momentum": 0.9}),
    Step("plain", 7, {"lr": 0.1}),
    Step("decay", 9, {"lr": 0.1, "decay": 0.3}),
    Step("nesterov", 33, {"lr": 0.5, "momentum": 0.9, "nesterov": True}),
    Step("nesterov_and_decay", 8, {"lr": 0.5, "momentum": 0.5, "nesterov": True, "decay": 0.25}),
    Step("several_chunks", 16_384 * 2 + 5, {"lr": 0.1, "momentum": 0.9}),
    Step("one_number", 1, {"lr": 1.0}),
)
ADAM_STEPS = (
    Step("plain", 7, {"lr": 0.1}),
    Step("slow_means", 16, {"lr": 0.01, "beta1": 0.99, "beta2": 0.5, "eps": 1e-3}),
    Step("decay", 19, {"lr": 0.1, "decay": 0.3}),
    Step("shrink", 33, {"lr": 0.1, "shrink": 0.9}),
    Step("several_chunks", 16_384 * 2 + 5, {"lr": 0.1}),
    Step("one_number", 1, {"lr": 1.0}),
)
LOGITS = (
    Logits("plain", (5, 10)),
    Logits("one_image", (1, 3)),
    Logits("one_class", (4, 1)),
    Logits("many_classes", (3, 133)),
    Logits("far_apart", (6, 4), scale=300.0),
    Logits("no_images", (0, 5)),
)

LEVELS = (
    Batch("plain", (3, 4, 5, 3)),
    Batch("one_image", (1, 5, 3, 3)),
    Batch("one_channel", (2, 3, 7, 1)),
    Batch("one_pixel", (2, 1, 1, 3)),
    Batch("seventeen_channels", (2, 3, 2, 17)),
    Batch("every_level", (1, 16, 32, 2)),
    Batch("no_images", (0, 4, 4, 3)),
)
CROPS = (
    Batch("plain", (9, 4, 6, 3)),
    Batch("numbers", (9, 5, 4, 3), levels=False),
    Batch("one_image", (1, 5, 4, 3), levels=False),
    Batch("one_channel", (8, 3, 7, 1)),
    Batch("one_column", (8, 9, 1, 4), levels=False),
    Batch("one_row", (8, 1, 9, 4), levels=False),
    Batch("seventeen_channels", (8, 3, 4, 17), levels=False),
    Batch("no_images", (0, 4, 4, 3)),
)
