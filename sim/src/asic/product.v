// A multiplier that is mapped by itself. BUFFER is a cell of the library with pins FROM and TO: whoever maps the rest cannot
// see how much a multiplier loads a net, and so it loads it little.
(* keep_hierarchy *)
module nervure_product (A, B, Y);
  parameter SIGNED = 0;
  parameter A_ZERO = 0;
  parameter B_ZERO = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input  [A_WIDTH-1:0] A;
  input  [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire [A_WIDTH-1:0] a;
  wire [B_WIDTH-1:0] b;
  genvar bit;
  generate
    for (bit = 0; bit < A_WIDTH; bit = bit + 1) begin : gen_a
      if (A_ZERO && bit == A_WIDTH - 1) assign a[bit] = 1'b0;
      else BUFFER buffer (.FROM(A[bit]), .TO(a[bit]));
    end
    for (bit = 0; bit < B_WIDTH; bit = bit + 1) begin : gen_b
      if (B_ZERO && bit == B_WIDTH - 1) assign b[bit] = 1'b0;
      else BUFFER buffer (.FROM(B[bit]), .TO(b[bit]));
    end
    if (SIGNED) assign Y = $signed(a) * $signed(b);
    else assign Y = a * b;
  endgenerate
endmodule
