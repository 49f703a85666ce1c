// Multipliers of two variables become instances of nervure_product: for `techmap`.
(* techmap_celltype = "$mul" *)
module nervure_apart (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_A_ = 0;
  parameter _TECHMAP_CONSTVAL_A_ = 0;
  parameter _TECHMAP_CONSTMSK_B_ = 0;
  parameter _TECHMAP_CONSTVAL_B_ = 0;
  input  [A_WIDTH-1:0] A;
  input  [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire _TECHMAP_FAIL_ = &_TECHMAP_CONSTMSK_A_ || &_TECHMAP_CONSTMSK_B_;
  // A number that is never negative has a constant sign.
  localparam A_ZERO = _TECHMAP_CONSTMSK_A_[A_WIDTH-1] && !_TECHMAP_CONSTVAL_A_[A_WIDTH-1];
  localparam B_ZERO = _TECHMAP_CONSTMSK_B_[B_WIDTH-1] && !_TECHMAP_CONSTVAL_B_[B_WIDTH-1];
  nervure_product #(
    .SIGNED(A_SIGNED && B_SIGNED),
    .A_ZERO(A_ZERO),
    .B_ZERO(B_ZERO),
    .A_WIDTH(A_WIDTH),
    .B_WIDTH(B_WIDTH),
    .Y_WIDTH(Y_WIDTH)
  ) _TECHMAP_REPLACE_ (
    .A(A),
    .B(B),
    .Y(Y)
  );
endmodule
