// infer/hparams_reader.h: checked reading of an architecture's metadata; for hparams.cpp and arch/.
#pragma once

#include <cmath>
#include <string>
#include <string_view>

#include "base/result.h"
#include "infer/gguf.h"

namespace kith::infer {

// Reads the keys "<architecture>.*".
class HparamsReader {
public:
    HparamsReader(Gguf const& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}

    [[nodiscard]] GgufValue const* find(std::string_view key) const {
        return file_.find(prefix_ + std::string(key));
    }

    // A whole number from 1 to `max`; `missing` when the key is absent (0: it must be there).
    [[nodiscard]] base::Result<std::size_t> size(std::string_view key, std::size_t max,
                                                 std::size_t missing = 0) const {
        auto const name = prefix_ + std::string(key);
        if (file_.find(name) == nullptr && missing != 0) return missing;
        auto const value = KITH_TRY(file_.require_unsigned(name));
        if (value == 0) return base::fail(base::Code::invalid, name + " is 0");
        if (value > max) return base::fail(base::Code::too_large, name + " is above the limit");
        return static_cast<std::size_t>(value);
    }

    // A finite number above 0.
    [[nodiscard]] base::Result<double> positive(std::string_view key, double missing) const {
        auto const* const value = find(key);
        if (value == nullptr) return missing;
        auto const number = value->as_number();
        if (!number || !std::isfinite(*number) || *number <= 0)
            return base::fail(base::Code::invalid,
                              prefix_ + std::string(key) + " is not a positive number");
        return *number;
    }

private:
    Gguf const& file_;
    std::string prefix_;
};

}  // namespace kith::infer
