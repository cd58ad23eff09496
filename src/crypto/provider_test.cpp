// Which provider is chosen, with backends that are right, wrong in one way, or absent. With a
// libcrypto that offers the algorithms both run side by side here; tests/vectors then runs on it.
#include "crypto/provider.h"

#include <doctest/doctest.h>

#include "crypto/mldsa/backend.h"
#include "crypto/mlkem/backend.h"

using namespace kith;
using namespace kith::crypto;

namespace {

enum class Fault {
    none,
    not_offered,
    no_key,
    other_key,
    no_signature,
    other_signature,
    ignores_random,
    ignores_context,
    accepts_all,
    refuses_all,
    no_secret,
    other_secret,
    explicit_rejection,
};

template <std::size_t N>
Secret<N> filled(std::uint8_t byte) {
    Secret<N> out;
    std::ranges::fill(out.mutable_view(), byte);
    return out;
}

auto broken() {
    return base::fail(base::Code::internal, "the fake library is broken");
}

class FakeSigner final : public mldsa::BackendKey {
public:
    FakeSigner(std::unique_ptr<mldsa::BackendKey> real, Fault fault)
        : real_(std::move(real)), fault_(fault) {}
    [[nodiscard]] MlDsa65PublicKey const& public_key() const override {
        return real_->public_key();
    }
    [[nodiscard]] base::Result<MlDsa65Signature> sign(base::ByteView message,
                                                      base::ByteView context,
                                                      Secret<32> const& random) const override {
        if (fault_ == Fault::no_signature) return broken();
        if (fault_ == Fault::ignores_random) return real_->sign(message, context, filled<32>(0));
        if (fault_ == Fault::ignores_context) return real_->sign(message, {}, random);
        auto out = real_->sign(message, context, random);
        if (fault_ == Fault::other_signature) (*out)[1000] ^= 1;
        return out;
    }

private:
    std::unique_ptr<mldsa::BackendKey> real_;
    Fault fault_;
};

class FakeMlDsa final : public mldsa::Backend {
public:
    explicit FakeMlDsa(Fault fault) : fault_(fault) {}
    [[nodiscard]] bool is_offered() const override { return fault_ != Fault::not_offered; }
    [[nodiscard]] std::unique_ptr<mldsa::BackendKey> make_key(
        MlDsa65Seed const& seed) const override {
        if (fault_ == Fault::no_key) return nullptr;
        auto real =
            mldsa::in_tree().make_key(fault_ == Fault::other_key ? filled<32>(9) : seed.clone());
        return std::make_unique<FakeSigner>(std::move(real), fault_);
    }
    [[nodiscard]] bool verify(MlDsa65PublicKey const& public_key, base::ByteView message,
                              base::ByteView context, base::ByteView signature) const override {
        if (fault_ == Fault::accepts_all || fault_ == Fault::refuses_all)
            return fault_ == Fault::accepts_all;
        return mldsa::in_tree().verify(public_key, message, context, signature);
    }

private:
    Fault fault_;
};

class FakeReceiver final : public mlkem::BackendKey {
public:
    FakeReceiver(std::unique_ptr<mlkem::BackendKey> real, Fault fault)
        : real_(std::move(real)), fault_(fault) {}
    [[nodiscard]] MlKem768PublicKey const& public_key() const override {
        return real_->public_key();
    }
    [[nodiscard]] base::Result<Secret<32>> decapsulate(
        MlKem768Ciphertext const& ciphertext) const override {
        if (fault_ == Fault::no_secret) return broken();
        if (fault_ == Fault::explicit_rejection && !first_) return Secret<32>();  // "rejected"
        first_ = false;
        auto out = real_->decapsulate(ciphertext);
        if (fault_ == Fault::other_secret) out->mutable_view()[31] ^= 1;
        return out;
    }

private:
    std::unique_ptr<mlkem::BackendKey> real_;
    Fault fault_;
    mutable bool first_ = true;
};

class FakeMlKem final : public mlkem::Backend {
public:
    explicit FakeMlKem(Fault fault) : fault_(fault) {}
    [[nodiscard]] bool is_offered() const override { return fault_ != Fault::not_offered; }
    [[nodiscard]] std::unique_ptr<mlkem::BackendKey> make_key(
        MlKem768Seed const& seed) const override {
        if (fault_ == Fault::no_key) return nullptr;
        auto real =
            mlkem::in_tree().make_key(fault_ == Fault::other_key ? filled<64>(9) : seed.clone());
        return std::make_unique<FakeReceiver>(std::move(real), fault_);
    }
    [[nodiscard]] base::Result<MlKem768Encapsulation> encapsulate(
        MlKem768PublicKey const& peer, Secret<32> const& random) const override {
        if (fault_ == Fault::no_signature) return broken();
        return mlkem::in_tree().encapsulate(
            peer, fault_ == Fault::ignores_random ? filled<32>(0) : random.clone());
    }

private:
    Fault fault_;
};

}  // namespace

TEST_CASE("the in-tree code gives the known answers of the self-tests") {
    CHECK(mldsa::passes_self_test(mldsa::in_tree()));
    CHECK(mlkem::passes_self_test(mlkem::in_tree()));
}

TEST_CASE("a library that offers the algorithm and gives the known answers is used") {
    CHECK(choose_provider(FakeMlDsa(Fault::none)).provider == Provider::libcrypto);
    CHECK(choose_provider(FakeMlKem(Fault::none)).provider == Provider::libcrypto);
}

TEST_CASE("E2: a library that lacks the algorithm, or is wrong in any one thing, is not used") {
    for (auto const fault : {Fault::not_offered, Fault::no_key, Fault::other_key,
                             Fault::no_signature, Fault::other_signature, Fault::ignores_random,
                             Fault::ignores_context, Fault::accepts_all, Fault::refuses_all}) {
        CAPTURE(static_cast<int>(fault));
        CHECK(choose_provider(FakeMlDsa(fault)).provider == Provider::in_tree);
    }
    for (auto const fault : {Fault::not_offered, Fault::no_key, Fault::other_key,
                             Fault::no_signature, Fault::ignores_random, Fault::no_secret,
                             Fault::other_secret, Fault::explicit_rejection}) {
        CAPTURE(static_cast<int>(fault));
        CHECK(choose_provider(FakeMlKem(fault)).provider == Provider::in_tree);
    }
}

TEST_CASE("the loaded libcrypto is asked, and whatever is chosen has a name and a reason") {
    CHECK(libcrypto_version().starts_with("OpenSSL 3."));
    for (auto const& [choice, offered] :
         {std::pair{mldsa65_provider(), mldsa::libcrypto().is_offered()},
          std::pair{mlkem768_provider(), mlkem::libcrypto().is_offered()}}) {
        CHECK((choice.provider == Provider::libcrypto) == offered);
        CHECK(std::string(choice.reason).size() > 10);
    }
    CHECK(std::string(provider_name(Provider::in_tree)) == "in-tree");
    CHECK(std::string(provider_name(Provider::libcrypto)) == "libcrypto");
}

TEST_CASE("a libcrypto without the algorithm gives no key and no verdict, never unset bytes") {
    if (mldsa::libcrypto().is_offered()) return;  // then the vectors run on it
    CHECK(mldsa::libcrypto().make_key(filled<32>(1)) == nullptr);
    auto const key = mldsa::in_tree().make_key(filled<32>(1));
    auto const signature = key->sign({}, {}, filled<32>(2));
    REQUIRE(signature);
    CHECK(!mldsa::libcrypto().verify(key->public_key(), {}, {}, *signature));
    CHECK(mlkem::libcrypto().make_key(filled<64>(1)) == nullptr);
    auto const peer = mlkem::in_tree().make_key(filled<64>(1));
    CHECK(mlkem::libcrypto().encapsulate(peer->public_key(), filled<32>(2)).error().code ==
          base::Code::internal);
}

TEST_CASE("where libcrypto offers the algorithms, both providers give the same bytes") {
    if (!mldsa::libcrypto().is_offered() || !mlkem::libcrypto().is_offered()) {
        MESSAGE("skipped: ", libcrypto_version(), " does not offer them");
        return;
    }
    for (std::uint8_t i = 0; i < 20; ++i) {
        auto const ours = mldsa::in_tree().make_key(filled<32>(i));
        auto const theirs = mldsa::libcrypto().make_key(filled<32>(i));
        REQUIRE(theirs);
        CHECK(ours->public_key() == theirs->public_key());
        base::Bytes const message(i, i);
        CHECK(*ours->sign(message, message, filled<32>(i)) ==
              *theirs->sign(message, message, filled<32>(i)));

        auto const our_kem = mlkem::in_tree().make_key(filled<64>(i));
        auto const their_kem = mlkem::libcrypto().make_key(filled<64>(i));
        REQUIRE(their_kem);
        auto const sent = mlkem::libcrypto().encapsulate(our_kem->public_key(), filled<32>(i));
        REQUIRE(sent);
        CHECK(constant_time_equal(our_kem->decapsulate(sent->ciphertext)->view(),
                                  their_kem->decapsulate(sent->ciphertext)->view()));
    }
}
