#include "engine/stage_worker.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <new>
#include <thread>

#include "engine/border.h"
#include "engine/planted_flaw.h"
#include "engine/stage_start.h"
#include "engine/stream.h"
#include "engine/words_message.h"
#include "infer/finite.h"
#include "sandbox/child_process.h"

namespace kith::engine {
namespace {

using base::Code;
using base::fail;
using base::Result;
using base::Status;
using infer::KvCache;
using infer::LayerRange;

constexpr int socket_descriptor = sandbox::first_descriptor;
constexpr int memory_descriptor = sandbox::first_descriptor + 1;
constexpr int files_descriptor = sandbox::first_descriptor + 2;
constexpr std::chrono::milliseconds look_around{1000};  // how often a lost parent is noticed

void set_reply(BorderReply& reply, Status const& status) {
    reply.code = status ? 0 : 1 + static_cast<std::uint32_t>(status.error().code);
    if (!status)
        std::strncpy(reply.message, status.error().message.c_str(), border_message_bytes - 1);
    if (has_flaw("flaw.lie_code")) reply.code = 4711;
}

class StageWorker {
public:
    StageWorker(infer::Stage stage, Border border)
        : stage_(std::move(stage)),
          border_(std::move(border)),
          hidden_(stage_.model().hparams().hidden_size) {}

    // Until the parent is gone.
    void serve() {
        auto& header = border_.header();
        for (std::uint32_t turn = 1;; ++turn) {
            for (auto seen = header.asked.load(std::memory_order_acquire); seen != turn;
                 seen = header.asked.load(std::memory_order_acquire)) {
                sleep_while(header.asked, seen, look_around);
                if (is_closed(socket_descriptor)) return;
            }
            answer(header);
            header.answered.store(turn, std::memory_order_release);
            wake(header.answered);
        }
    }

private:
    void answer(BorderHeader& header) {
        try {
            set_reply(header.reply, one(header.command));
        } catch (std::bad_alloc const&) {
            set_reply(header.reply, fail(Code::too_large, "not enough memory"));
        }
    }

    // The parent has checked all sizes; border_ asserts them.
    Status one(BorderCommand const& command) {
        LayerRange const layers{command.layers_begin, command.layers_end};
        switch (command.operation) {
            case Operation::run:
                return run(command, layers);
            case Operation::make_cache: {
                auto cache =
                    KITH_TRY(KvCache::create(stage_.model().hparams(), layers, command.size));
                caches_.insert_or_assign(command.step.cache, std::move(cache));
                return {};
            }
            case Operation::drop:
                caches_.erase(command.step.cache);
                return {};
        }
        return fail(Code::internal, "no such operation");
    }

    Status run(BorderCommand const& command, LayerRange layers) {
        auto const& step = command.step;
        auto const rows = border_.floats(0, step.rows * hidden_);
        if ((command.parts & part_embed) != 0)
            KITH_TRY(stage_.embed(border_.ids(rows.size(), step.rows), rows));
        if (layers.begin != layers.end) KITH_TRY(forward(step, layers));
        bool const has_logits = (command.parts & part_logits) != 0;
        if (has_logits)
            KITH_TRY(stage_.logits(rows.last(hidden_),
                                   border_.floats(step.rows * (hidden_ + 1),
                                                  stage_.model().hparams().vocabulary_size)));
        // The parent takes what is not finite for a lie; layers and head look by themselves.
        bool const is_embedding = !has_logits && layers.begin == layers.end;
        if (is_embedding && !infer::are_finite(rows))
            return fail(Code::invalid, "the embedding has what is no number");
        return {};
    }

    Status forward(BorderStep const& step, LayerRange layers) {
        auto* const cache = find(step.cache);
        if (cache == nullptr) return fail(Code::not_found, "no such sequence");
        auto const rows = border_.floats(0, step.rows * hidden_);
        auto const& cancel = border_.header().cancel;
        if (has_flaw("flaw.crash_forward") || has_flaw("flaw.await_cancel")) {
            LayerRange const first{layers.begin, layers.begin + 1};
            KITH_TRY(stage_.forward(*cache, rows, step.position, first));
            if (has_flaw("flaw.crash_forward")) crash();
            layers.begin += 1;
            while (!cancel) std::this_thread::yield();
        }
        while (has_flaw("flaw.hang")) std::this_thread::yield();
        auto const done = stage_.forward(*cache, rows, step.position, layers, &cancel);
        if (has_flaw("flaw.lie_number")) rows[1] = std::numeric_limits<float>::quiet_NaN();
        return done;
    }

    KvCache* find(std::uint32_t number) {
        auto const at = caches_.find(number);
        return at == caches_.end() ? nullptr : &at->second;
    }

    infer::Stage stage_;
    Border border_;
    std::size_t hidden_;
    std::map<std::uint32_t, KvCache> caches_;
};

// What the file says about text, for the parent; how many bytes it took.
Result<std::size_t> leave_words(infer::Model const& model) {
    std::optional<infer::ModelWords> words;
    if (auto const* const file = model.tokenizer_file(); file != nullptr)
        words = KITH_TRY(infer::read_words(*file));
    auto const message = KITH_TRY(encode_words(words));
    auto const border = KITH_TRY(Border::map(memory_descriptor, message.size()));
    std::ranges::copy(message, border.bytes().begin());
    if (has_flaw("flaw.garble_words")) border.bytes()[0] = 0xee;
    return message.size();
}

struct Begun {
    StageFacts facts;
    StageWorker worker;
};

Result<Begun> begin() {
    auto const bytes = KITH_TRY(
        read_message(socket_descriptor, stage_message_bytes_max, std::chrono::milliseconds(0)));
    auto const start = KITH_TRY(decode_stage_start(bytes));
    auto const held = KITH_TRY(sandbox::confine({.limits = start.limits}));
    std::vector<infer::MappedFile> files;
    int descriptor = files_descriptor;
    for (auto const size : start.file_sizes)
        files.push_back(KITH_TRY(infer::MappedFile::map(descriptor++, size)));
    try {
        auto model = KITH_TRY(infer::Model::load(std::move(files)));
        StageFacts facts{.model = model->info(),
                         .kv_size = model->hparams().kv_size(),
                         .landlock_abi = held.landlock_abi};
        if (start.wants_words) facts.words_bytes = KITH_TRY(leave_words(*model));
        auto border = KITH_TRY(Border::map(
            memory_descriptor,
            Border::data_bytes_for(facts.model.hidden_size, facts.model.vocabulary_size)));
        auto stage = KITH_TRY(infer::Stage::create(std::move(model), start.stage));
        if (has_flaw("flaw.lie_context")) facts.model.context_length /= 2;
        if (has_flaw("flaw.no_landlock")) facts.landlock_abi = 0;
        if (has_flaw("flaw.lie_words")) facts.words_bytes = std::size_t{1} << 40U;
        if (has_flaw("flaw.lie_size")) facts.model.hidden_size = std::size_t{1} << 40U;
        return Begun{std::move(facts), StageWorker(std::move(stage), std::move(border))};
    } catch (std::bad_alloc const&) {
        return fail(Code::too_large, "the model wants more memory than it may have");
    }
}

}  // namespace

int stage_worker() {
    sandbox::end_with_parent();
    auto begun = begin();
    auto const answer = begun ? encode(Result<StageFacts>(begun->facts))
                              : encode(Result<StageFacts>(std::unexpected(begun.error())));
    if (write_message(Writer::worker, socket_descriptor, answer) && begun) begun->worker.serve();
    ::_exit(0);  // as in tool_worker.cpp
}

}  // namespace kith::engine
