// A device of its own for torch that computes on the CPU: "privateuseone:0". Like a GPU it has memory
// of its own kind, and refuses to compute with tensors of two devices. ComfyUI takes it for DirectML.

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/Allocator.h>
#include <torch/library.h>

#include <malloc.h>

#include <cstdlib>
#include <cstring>

namespace {

using at::Tensor;
using c10::DeviceType;

int64_t waits = 0;  // times the host waited for the device: for a result, or for a copy to be done

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* data = bytes ? std::malloc(bytes) : nullptr;
    return {data, data, &std::free, c10::Device(DeviceType::PrivateUse1, 0)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &std::free; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
};

Memory memory;

bool on_device(const Tensor& t) { return t.defined() && t.device().is_privateuseone(); }

// The same memory as a CPU tensor.
Tensor host_view(const Tensor& t) {
  if (!on_device(t)) return t;
  auto options = at::TensorOptions().dtype(t.dtype()).device(at::kCPU);
  return at::from_blob(t.data_ptr(), t.sizes(), t.strides(), options);
}

Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                     std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  c10::DispatchKeySet keys(c10::DispatchKey::PrivateUse1);
  return at::detail::empty_strided_generic(size, stride, &memory, keys, c10::dtype_or_default(dtype));
}

Tensor empty(c10::SymIntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
             std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  c10::DispatchKeySet keys(c10::DispatchKey::PrivateUse1);
  return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(size), &memory, keys,
                                   c10::dtype_or_default(dtype), format);
}

Tensor to_device(const Tensor& t) {
  Tensor made = empty_strided(t.sizes(), t.strides(), t.scalar_type(), {}, {}, {});
  host_view(made).copy_(t);
  return made;
}

Tensor copy_from(const Tensor& self, const Tensor& to, bool non_blocking) {
  if (to.device().is_cpu() || (self.device().is_cpu() && !non_blocking)) ++waits;
  host_view(to).copy_(host_view(self));
  return to;
}

Tensor copy_from_and_resize(const Tensor& self, const Tensor& to) {
  return copy_from(self, to.sizes() == self.sizes() ? to : to.resize_(self.sizes()), false);
}

at::Scalar read_scalar(const Tensor& t) {
  ++waits;
  return host_view(t).item();
}

const Tensor& resize_(const Tensor& self, c10::SymIntArrayRef size, std::optional<at::MemoryFormat>) {
  auto sizes = C10_AS_INTARRAYREF_SLOW(size);
  auto* impl = self.unsafeGetTensorImpl();
  impl->set_sizes_contiguous(sizes);
  auto storage = self.storage();
  size_t bytes = (self.numel() + self.storage_offset()) * self.itemsize();
  if (storage.nbytes() < bytes) {
    auto data = memory.allocate(bytes);
    if (storage.nbytes()) std::memcpy(data.get(), storage.data(), storage.nbytes());
    storage.set_data_ptr_noswap(std::move(data));
    storage.set_nbytes(bytes);
  }
  return self;
}

Tensor& set_storage(Tensor& t, at::Storage storage, int64_t offset, at::IntArrayRef size,
                    at::IntArrayRef stride) {
  auto* impl = t.unsafeGetTensorImpl();
  impl->set_storage_keep_dtype(storage);
  impl->set_storage_offset(offset);
  impl->set_sizes_and_strides(size, stride);
  return t;
}

Tensor& set_tensor(Tensor& t, const Tensor& other) {
  return set_storage(t, other.storage(), other.storage_offset(), other.sizes(), other.strides());
}

Tensor convolution(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias,
                   c10::SymIntArrayRef stride, c10::SymIntArrayRef padding, c10::SymIntArrayRef dilation,
                   bool transposed, c10::SymIntArrayRef output_padding, c10::SymInt groups) {
  bool has_bias = bias && bias->defined();
  TORCH_CHECK(on_device(x) && on_device(weight) && (!has_bias || on_device(*bias)),
              "convolution: input, weight and bias must be on the same device");
  std::optional<Tensor> b;
  if (has_bias) b = host_view(*bias);
  return to_device(at::convolution_symint(host_view(x), host_view(weight), b, stride, padding, dilation,
                                          transposed, output_padding, groups));
}

int64_t attention_kind(const Tensor&, const Tensor&, const Tensor&, const std::optional<Tensor>&, double,
                       bool, std::optional<double>, bool) {
  return 1;  // torch's flash attention, whose CPU kernel the fallback finds
}

// What may be the host's although the rest is on the device: numbers without dimensions, and indices.
void check_devices(const std::string& name, at::ArrayRef<c10::IValue> arguments) {
  bool host = false, device = false;
  auto look = [&](const Tensor& t) {
    device = device || on_device(t);
    host = host || (t.defined() && t.device().is_cpu() && t.dim() > 0);
  };
  for (const auto& argument : arguments) {
    if (argument.isTensor()) look(argument.toTensor());
    if (argument.isTensorList()) for (const Tensor& t : argument.toTensorVector()) look(t);
  }
  TORCH_CHECK(!(host && device), name, ": expected all tensors to be on the same device, but found ",
              "some on cpu and some on privateuseone:0");
}

c10::IValue host_argument(const c10::IValue& given) {
  if (given.isTensor()) return host_view(given.toTensor());
  if (given.isTensorList()) {
    c10::List<Tensor> list;
    for (const Tensor& t : given.toTensorVector()) list.push_back(host_view(t));
    return list;
  }
  if (given.isOptionalTensorList()) {
    c10::List<std::optional<Tensor>> list;
    for (const std::optional<Tensor>& t : given.toOptionalTensorVector()) {
      list.push_back(t ? std::optional<Tensor>(host_view(*t)) : std::nullopt);
    }
    return list;
  }
  if (given.isDevice() && given.toDevice().is_privateuseone()) return c10::Device(at::kCPU);
  return given;
}

c10::IValue device_result(const c10::IValue& made) {
  if (made.isTensor() && made.toTensor().defined()) return to_device(made.toTensor());
  if (made.isTensorList()) {
    c10::List<Tensor> list;
    for (const Tensor& t : made.toTensorVector()) list.push_back(to_device(t));
    return list;
  }
  return made;
}

// Whether an operation is given an empty tensor for its result, which it will resize.
bool grows_a_result(const c10::FunctionSchema& schema, at::ArrayRef<c10::IValue> arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const auto* alias = schema.arguments()[i].alias_info();
    if (alias && alias->isWrite() && arguments[i].isTensor() && arguments[i].toTensor().numel() == 0) {
      return true;
    }
  }
  return false;
}

// Everything else: on the CPU, in the device's memory.
void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const auto& name = schema.operator_name().name;
  size_t count = schema.arguments().size();
  auto arguments = torch::jit::last(*stack, count).vec();
  check_devices(name, arguments);
  for (const char* waiting : {"aten::nonzero", "aten::equal", "aten::masked_select"}) {
    if (name == waiting) ++waits;
  }
  if (grows_a_result(schema, arguments)) {
    auto before = waits;
    at::native::cpu_fallback(op, stack);
    waits = before;
    return;
  }
  torch::jit::drop(*stack, count);
  for (const auto& argument : arguments) stack->push_back(host_argument(argument));
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  auto results = torch::jit::pop(*stack, schema.returns().size());
  for (size_t index = 0; index < results.size(); ++index) {
    const auto* written = schema.returns()[index].alias_info();
    c10::IValue result;
    if (written && written->isWrite()) {
      for (size_t i = 0; i < count; ++i) {
        const auto* own = schema.arguments()[i].alias_info();
        if (own && *own == *written) result = arguments[i];
      }
    } else {
      result = device_result(results[index]);
    }
    stack->push_back(result);
  }
}

// Large blocks are kept for the next operation: giving them back took most of the time.
const bool keeps_freed_memory = mallopt(M_MMAP_THRESHOLD, 1 << 30) && mallopt(M_TRIM_THRESHOLD, 1 << 30);

}  // namespace

REGISTER_ALLOCATOR(DeviceType::PrivateUse1, &memory);

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", &empty);
  m.impl("empty_strided", &empty_strided);
  m.impl("resize_", &resize_);
  m.impl("set_.source_Storage_storage_offset", &set_storage);
  m.impl("set_.source_Tensor", &set_tensor);
  m.impl("_copy_from", &copy_from);
  m.impl("_copy_from_and_resize", &copy_from_and_resize);
  m.impl("_local_scalar_dense", &read_scalar);
  m.impl("as_strided", [](const Tensor& t, at::IntArrayRef size, at::IntArrayRef stride,
                          std::optional<int64_t> offset) {
    return at::native::as_strided_tensorimpl(t, size, stride, offset);
  });
  m.impl("view", [](const Tensor& t, at::IntArrayRef size) { return at::native::view(t, size); });
  m.impl("_reshape_alias", [](const Tensor& t, at::IntArrayRef size, at::IntArrayRef stride) {
    return at::native::_reshape_alias(t, size, stride);
  });
  m.impl("unfold", [](const Tensor& t, int64_t dim, int64_t size, int64_t step) {
    return at::native::unfold(t, dim, size, step);
  });
  m.impl("convolution_overrideable", &convolution);
  m.impl("_fused_sdp_choice", &attention_kind);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

TORCH_LIBRARY(pretended, m) {
  m.def("waits", []() { return waits; });
}
