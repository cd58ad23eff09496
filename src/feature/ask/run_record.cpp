#include "feature/ask/run_record.h"

#include "feature/ask/request_content.h"
#include "feature/ask/sequence.h"

namespace kith::ask {

crypto::Sha256Digest digest_of(RemoteRun::Output const& output) {
    if (output.token) return crypto::sha256(encode_tokens({*output.token}));
    return crypto::sha256(tensor_bytes(output.hidden));
}

namespace {

std::size_t bytes_of(RemoteRun::Input const& input) {
    if (auto const* tokens = std::get_if<std::vector<infer::TokenId>>(&input))
        return tokens->size() * sizeof(infer::TokenId);
    return std::get<std::vector<float>>(input).size() * sizeof(float);
}

}  // namespace

void RunRecorder::on_step(RemoteRun::Step const& step) {
    bytes_ += bytes_of(step.input);
    is_full_ = is_full_ || bytes_ > record_bytes_max;
    if (!is_full_) pending_ = step;
}

void RunRecorder::on_output(RemoteRun::Output const& output) {
    if (!pending_) return;
    record_.entries.push_back(
        {.step = *std::exchange(pending_, std::nullopt), .output = digest_of(output)});
}

RunRecord RunRecorder::take() {
    return std::move(record_);
}

}  // namespace kith::ask
