"""Operators that have no place in a converted model, with the reason."""

from mlpress.converter.lowering.registry import refuses

refuses(
    "it has a use in training only",
    "aten._adaptive_avg_pool2d_backward.default",
    "aten.avg_pool2d_backward.default",
    "aten.convolution_backward.default",
    "aten.embedding_dense_backward.default",
    "aten.max_pool2d_with_indices_backward.default",
    "aten.native_group_norm_backward.default",
    "aten.native_layer_norm_backward.default",
)
refuses(
    "Core ML has no Fourier transforms and no complex numbers",
    "aten._fft_c2r.default",
    "aten._fft_r2c.default",
    "aten._fft_c2c.default",
    "aten.view_as_complex.default",
    "aten.polar.default",
    "aten.complex.default",
)
refuses("Core ML has no shifts of bits", "aten.bitwise_left_shift.Tensor", "aten.bitwise_right_shift.Tensor")
refuses("Core ML's pooling gives no indices", "aten.max_unpool2d.default", "aten.max_unpool3d.default")
refuses(
    "Core ML quantizes activations with scales that are known beforehand, not with those of each input",
    "quantized_decomposed.choose_qparams.tensor",
    "quantized_decomposed.choose_qparams_symmetric.tensor",
    "quantized_decomposed.choose_qparams_per_token.default",
    "quantized_decomposed.choose_qparams_per_token_asymmetric.default",
)
refuses("Core ML draws no permutations", "aten.randperm.default")
refuses(
    "Core ML has no cumulative product or extremes",
    "aten.cumprod.default",
    "aten.cummax.default",
    "aten.cummin.default",
)
refuses(
    "the shape of the result depends on values, and Core ML has no op for it",
    "aten.unique2.default",
    "aten._unique2.default",
    "aten.masked_scatter.default",
    "aten.repeat_interleave.Tensor",
)
refuses(
    "bags of embeddings have sizes that depend on values; use nn.Embedding and a reduction",
    "aten._embedding_bag.default",
    "aten._embedding_bag_forward_only.default",
)
refuses("it returns into a tensor that it is given", "aten.atan2.out")
refuses("it changes the size of the tensor that it is given", "aten.resize_.default")
refuses(
    "packed sequences; pad them and mask instead",
    "aten.lstm.data",
    "aten.gru.data",
    "aten.rnn_tanh.data",
    "aten.rnn_relu.data",
)
